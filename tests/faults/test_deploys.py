"""Deploys: workers leave while jobs are in flight, others take their steps over."""

import signal
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest

from config.db import connection, engine, transaction
from models.jobs import nodes
from models.jobs.steps import list_steps
from models.jobs.streams import entries_after, text_of
from models.jobs.tables import JobStatus, StepStatus, step
from tasks.pipeline import REGISTRY
from tests import pipelines
from tests.pipelines import Numbers
from tests.stack import (
    POOLS,
    Stack,
    effects,
    ended,
    fresh_database,
    kill_family,
    prepare_owner,
    read,
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


def leave(stack: Stack, name: str) -> int:
    """Tell a worker to leave, and return how it has ended."""
    worker = stack.workers.pop(name)
    worker.send_signal(signal.SIGTERM)
    try:
        return worker.wait(LEAVES_S)
    finally:
        kill_family(worker)


def known_versions(pipeline: str) -> list[str]:
    """The versions of a pipeline that live workers know, one per worker."""
    with connection() as conn:
        live = nodes.live_nodes(conn, within_s=2)
    return [one.fingerprints[pipeline] for one in live]


def steps_of(job_id: UUID) -> dict[str, list[int]]:
    """How many attempts counted, by name and item."""
    counted: dict[str, list[int]] = {}
    with transaction() as session:
        for one in list_steps(session, job_id):
            counted.setdefault(one.name, []).append(one.attempt)
    return counted


def test_a_rolling_upgrade_hands_over_what_runs_and_ends_only_what_nobody_knows(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "tests.line", pipelines.line)  # to be put back afterwards
    next_line = import_module("tests.worker_next").next_line
    stack.start_workers()
    held = Numbers(count=2, folder=str(tmp_path), hold=True)
    doubling, grinding, speaking, endless = (
        start(one, held)
        for one in (pipelines.fan, pipelines.grinding, pipelines.speaking, pipelines.line)
    )
    names = {doubling: "double", grinding: "grind", speaking: "speak", endless: "flaky_step"}
    for job_id, name in names.items():
        wait_for(partial(runs, job_id, name), 30)
    for queue in POOLS:
        stack.start_worker(queue, module="tests.worker_next", name=f"next-{queue}")
    wait_for(lambda: len(set(known_versions("tests.line"))) == 2, 60)
    wait_for(lambda: len(known_versions("tests.line")) == 2 * len(POOLS), 60)
    lines = [start(version) for version in (pipelines.line, next_line) for _ in range(3)]
    assert {ended(one, 60).status for one in lines} == {JobStatus.SUCCEEDED}
    assert [len(steps_of(one)) for one in lines] == [4, 4, 4, 5, 5, 5]
    for queue in POOLS:
        assert read(endless).status == JobStatus.RUNNING, "a worker of its version is left"
        assert leave(stack, queue) == 0

    (tmp_path / "go").touch()
    told = ended(endless, 60)
    assert (told.status, told.error["code"]) == (JobStatus.FAILED, "pipeline_changed")
    for job_id in (doubling, grinding, speaking):
        assert ended(job_id, 60).status == JobStatus.SUCCEEDED
        assert {count for counted in steps_of(job_id).values() for count in counted} == {1}
    with connection() as conn:
        entries = entries_after(conn, speaking, 0)
    assert text_of(entries) == "w0 w1 "
    made = [effects(one) for one in (endless, *lines, doubling, speaking)]
    assert made == [["first"], *[["first", "last"]] * 6, ["record"], ["keep"]]


def test_steps_without_progress_are_taken_from_a_worker_that_leaves(
    stack: Stack, tmp_path: Path
) -> None:
    for queue in ("io", "cpu"):
        stack.start_worker(queue, ENGINE_LEAVE_S="1")
    job_id = start(pipelines.dawdling, Numbers(sleep_s=600, folder=str(tmp_path)))
    for name in ("dawdle", "dawdle_on_cpu"):
        wait_for(partial(runs, job_id, name), 60)

    codes = [leave(stack, queue) for queue in ("io", "cpu")]

    assert all(codes), "they did not end in good order"
    assert steps_of(job_id) == {"dawdle": [0], "dawdle_on_cpu": [0]}
    assert not runs(job_id, "dawdle")
    assert not runs(job_id, "dawdle_on_cpu")
