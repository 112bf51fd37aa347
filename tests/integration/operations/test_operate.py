"""The operators' commands, against the tests' own Postgres and a real worker."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, update

from api import operate
from config.db import connection, transaction
from models.base import new_id, now
from models.jobs import dispatch, hints, nodes
from models.jobs.bookkeeping import node
from models.jobs.queries import find_job, queue_figures
from models.jobs.steps import list_steps
from models.jobs.tables import JobStatus, StepStatus, job, step
from tasks import publisher
from tests.inline import drain
from tests.pipelines import OWNER, Numbers, fan, line
from tests.stack import Stack, live_queues, read, start, wait_for

HOUR = timedelta(hours=1)
LONG_AGO = now() - HOUR  # or longer: it is looked at when the tests are collected


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has an owner."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(operate.console, "width", 250)

    def one(*words: str) -> tuple[int, str]:
        code = operate.main(list(words))
        told = capsys.readouterr()
        return code, told.out + told.err

    return one


Run = Callable[..., tuple[int, str]]


def add_node(**values: Any) -> UUID:
    known = {"tests.line": line.fingerprint}
    row = {"id": new_id(), "hostname": "h", "pid": 1, "slots": {"io": 1}, "fingerprints": known}
    with connection() as conn:
        conn.execute(insert(node).values(**row | {"draining": False, "beat_at": now()} | values))
    return UUID(str((row | values)["id"]))


def old_job() -> UUID:
    job_id = start(line)
    with connection() as conn:
        conn.execute(update(job).where(job.c.id == job_id).values(created_at=now() - HOUR))
    return job_id


def test_a_job_whose_queue_has_no_worker_is_stuck_for_that_reason(run: Run) -> None:
    job_id = old_job()

    code, said = run("stuck")

    assert code == 1
    assert str(job_id) in said
    assert "no live worker serves the queue io" in said


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"fingerprints": {}}, "knows this version"),
        ({"slots": {"io": 0}}, "slots of io are taken"),
        ({}, "due, and not published"),
        ({"beat_at": LONG_AGO}, "no live worker serves"),
        ({"draining": True}, "no live worker serves"),
    ],
)
def test_what_keeps_a_step_from_being_claimed_is_told(
    run: Run, values: dict[str, Any], why: str
) -> None:
    old_job()
    add_node(**values)

    assert why in run("stuck")[1]


def test_a_running_step_is_stuck_once_it_has_been_silent_for_long(run: Run) -> None:
    job_id, worker = old_job(), add_node()
    for idle_deadline, code in ((now() + timedelta(seconds=890), 0), (now(), 1)):
        with connection() as conn:
            conn.execute(
                update(step)
                .where(step.c.job_id == job_id, step.c.position == 0)
                .values(
                    status=StepStatus.RUNNING, node=worker, lease_until=now(), attempt=1,
                    started_at=LONG_AGO, idle_deadline=idle_deadline,
                )
            )  # fmt: skip

        assert run("stuck")[0] == code
    assert "no progress in attempt 1 on h, pid 1" in run("stuck")[1]


def test_new_and_ended_jobs_are_not_stuck(run: Run) -> None:
    ended_id = start(line)
    drain()
    start(line)

    assert read(ended_id).status == JobStatus.SUCCEEDED
    assert run("stuck") == (0, "Nothing is stuck.\n")


def test_a_job_without_a_step_that_could_go_on_is_stuck(run: Run) -> None:
    job_id = old_job()
    with connection() as conn:
        conn.execute(update(step).where(step.c.job_id == job_id).values(status=StepStatus.PENDING))
        conn.execute(update(job).where(job.c.id == job_id).values(event_seq=0))

    code, said = run("stuck")

    assert (code, "no step of it can go on" in said) == (1, True)


def test_the_age_of_a_queue_counts_from_the_job_that_waits() -> None:
    old_job()
    with connection() as conn:
        (row,) = queue_figures(conn)

    assert (row.queue, row.status, row.steps) == ("io", "ready", 1)
    assert 3500 < row.oldest_s < 3700


def test_a_replayed_job_has_the_input_and_owner_of_the_old_one(run: Run) -> None:
    old = start(fan, Numbers(count=2))
    drain()

    code, said = run("replay", str(old))

    with transaction() as session:
        again = find_job(session, said.split()[0])
        assert (again.parent_id, again.owner_id, again.input["count"]) == (old, OWNER, 2)
    assert code == 0
    assert run("replay", str(new_id())) == (1, "There is no such job.\n")


def test_a_purge_forgets_what_ended_before_the_days_that_are_named(run: Run) -> None:
    old, young = start(fan), start(fan)
    drain()
    with connection() as conn:
        past = now() - timedelta(days=9)
        conn.execute(update(job).where(job.c.id == old).values(finished_at=past))

    assert "0 jobs" in run("purge")[1]
    code, said = run("purge", "--older-than", "7")

    assert (code, "1 jobs" in said) == (0, True)
    assert read(young).status == JobStatus.SUCCEEDED
    assert run("replay", str(old))[0] == 1
    assert drain() > 0
    pruning = said.partition("Job ")[2].split()[0]
    assert "upkeep.prune_blobs" in run("replay", pruning)[1]


def test_jobs_in_flight_are_told_by_version_until_none_is_of_another(run: Run) -> None:
    other, _ = start(line), start(line)
    with connection() as conn:
        conn.execute(update(job).where(job.c.id == other).values(fingerprint="of-old"))
    add_node()

    code, said = run("versions")

    assert (code, said.count("tests.line")) == (1, 2)
    assert "of-old" in said
    with connection() as conn:
        conn.execute(update(job).where(job.c.id == other).values(fingerprint=line.fingerprint))
    assert run("versions")[0] == 0


def test_a_node_that_does_not_exist_cannot_be_drained(run: Run) -> None:
    code, said = run("drain", "nowhere")

    assert (code, said.count("\n")) == (1, 1)


async def test_a_step_names_the_task_that_is_its_hint(client: httpx.AsyncClient) -> None:
    job_id = start(line)
    with connection() as conn:
        (hint,) = hints.take_due(conn, "io", 1)
    sent = {link.name: publisher._one(link).options["task_id"] for link in (hint, *hint.then)}

    steps = (await client.get(f"/jobs/{job_id}/steps")).json()

    assert {one["name"]: one["task_id"] for one in steps} == sent


@pytest.mark.timeout(180)
def test_a_drained_worker_hands_its_step_over_and_ends(run: Run, tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    try:
        stack.start_worker("io")
        wait_for(lambda: "io" in live_queues(), 90)
        job_id = start(line, Numbers(sleep_s=40.0))
        with connection() as conn:
            (row,) = nodes.live_nodes(conn, within_s=2)
        wait_for(lambda: "flaky_step" in _held(row.id), 60)
        assert str(row.id) in run("nodes")[1]

        began = time.monotonic()
        code, said = run("drain", str(row.id))

        assert (code, "hold no step" in said) == (0, True)
        assert time.monotonic() - began < 10, "it was not waited for the step's end"
        stack.workers["io"].wait(60)
    finally:
        stack.stop()
    with transaction() as session:
        (handed,) = [one for one in list_steps(session, job_id) if one.name == "flaky_step"]
    assert (handed.status, handed.attempt) == (StepStatus.READY, 0)


def _held(node_id: UUID) -> set[str]:
    with connection() as conn:
        return {row.name for row in dispatch.steps_of_node(conn, node_id)}
