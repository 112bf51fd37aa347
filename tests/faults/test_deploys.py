"""Deploys: workers leave while jobs are in flight, others take their steps over."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from config.db import connection, engine, transaction
from models.jobs.queries import list_steps
from models.jobs.streams import RESET, entries_after, text_of
from models.jobs.tables import JobStatus, StepStatus, step
from tests import pipelines
from tests.pipelines import Numbers
from tests.stack import (
    POOLS,
    Stack,
    effects,
    ended,
    fresh_database,
    prepare_owner,
    start,
    wait_for,
)  # fmt: skip

pytestmark = pytest.mark.timeout(180)

LEAVES_S = 15  # less than ENGINE_LEAVE_S: whoever ends by then has not slept that out


@pytest.fixture
def stack(_postgres_server: None, _valkey_server: None, tmp_path: Path) -> Iterator[Stack]:
    fresh_database()
    prepare_owner()
    running = Stack(tmp_path)
    yield running
    running.stop()
    engine().dispose()


def runs(job_id: UUID, name: str) -> bool:
    with connection() as conn:
        which = (step.c.job_id == job_id) & (step.c.name == name)
        where = step.select().where(which, step.c.status == StepStatus.RUNNING)
        return conn.execute(where).first() is not None


def attempts(job_id: UUID, name: str) -> list[int]:
    """How many attempts counted, by item."""
    with transaction() as session:
        return [one.attempt for one in list_steps(session, job_id) if one.name == name]


def told(stack: Stack, names: list[str]) -> list[Any]:
    """Tell workers to leave, all at once; return their processes."""
    leaving = [stack.workers.pop(name) for name in names]
    for process in leaving:
        process.send_signal(signal.SIGTERM)
    return leaving


def test_workers_that_are_told_to_leave_hand_their_steps_over_and_end(stack: Stack) -> None:
    stack.start_workers()
    doubling = start(pipelines.fan, Numbers(count=3, sleep_s=6))
    grinding = start(pipelines.grinding, Numbers(sleep_s=12))
    speaking = start(pipelines.speaking, Numbers(count=60, sleep_s=12))
    for job_id, name in ((doubling, "double"), (grinding, "grind"), (speaking, "speak")):
        wait_for(partial(runs, job_id, name), 30)
    for queue in POOLS:
        stack.start_worker(queue, name=f"next-{queue}")

    left = told(stack, list(POOLS))

    assert [process.wait(LEAVES_S) for process in left] == [0, 0, 0]
    assert {ended(one, 60).status for one in (doubling, grinding, speaking)} == {
        JobStatus.SUCCEEDED
    }
    assert attempts(doubling, "double") == [1, 1, 1]
    assert attempts(grinding, "grind") == attempts(speaking, "speak") == [1]
    with connection() as conn:
        entries = entries_after(conn, speaking, 0)
    assert RESET in [entry.kind for entry in entries]
    assert text_of(entries) == "".join(f"w{k} " for k in range(60))
    assert effects(speaking) == ["keep"]


def test_steps_without_progress_are_taken_from_a_worker_that_leaves(
    stack: Stack, tmp_path: Path
) -> None:
    for queue in ("io", "cpu"):
        stack.start_worker(queue, ENGINE_LEAVE_S="1")
    job_id = start(pipelines.dawdling, Numbers(sleep_s=600, folder=str(tmp_path)))
    for name in ("dawdle", "dawdle_on_cpu"):
        wait_for(partial(runs, job_id, name), 60)
    for queue in ("io", "cpu"):
        stack.start_worker(queue, name=f"next-{queue}")

    left = told(stack, ["io", "cpu"])

    assert all(process.wait(LEAVES_S) for process in left), "they did not end in good order"
    assert ended(job_id, 60).status == JobStatus.SUCCEEDED
    assert attempts(job_id, "dawdle") == attempts(job_id, "dawdle_on_cpu") == [1]
