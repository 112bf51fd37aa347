"""What dies, and what the engine makes of it: every job ends right, every effect is there once."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import update

from config.db import connection, engine
from config.local import EmbeddedPostgres, EmbeddedValkey
from models.jobs import hints, lifecycle
from models.jobs.hints import Hint
from models.jobs.streams import entries_after, text_of
from models.jobs.tables import JobStatus, StepStatus, job, step
from tasks import publisher
from tests import pipelines
from tests.keyed_pipelines import Keyed, keyed
from tests.pipelines import Numbers
from tests.stack import (
    Stack,
    effects,
    ended,
    fresh_database,
    live_queues,
    prepare_owner,
    read,
    start,
    wait_for,
)  # fmt: skip

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def stack(
    _postgres_server: None, _valkey_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    fresh_database()
    prepare_owner()
    running = Stack(tmp_path_factory.mktemp("stack"))
    running.start_workers()
    yield running
    running.stop()
    engine().dispose()


@pytest.fixture(autouse=True)
def _all_alive(stack: Stack) -> None:
    stack.revive()
    wait_for(lambda: live_queues() >= {"io", "cpu", "stream"}, 60)


def paid(folder: Path, name: str) -> int:
    path = folder / f"{name}.paid"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("victim", ["child", "worker"])
@pytest.mark.parametrize("failpoint", ["before_claim", "claimed", "ran", "completed"])
def test_a_worker_killed_at_a_failpoint_loses_nothing(
    stack: Stack, failpoint: str, victim: str, tmp_path: Path
) -> None:
    stack.arm(failpoint, victim)

    job_id = start(pipelines.line, Numbers(folder=str(tmp_path)))

    assert ended(job_id, 60, between=stack.revive).status == JobStatus.SUCCEEDED
    assert stack.armed() == []
    assert effects(job_id) == ["first", "last"]


def test_a_worker_killed_in_mid_stream_streams_again_after_a_reset(stack: Stack) -> None:
    stack.arm("streamed", "worker")

    job_id = start(pipelines.speaking, Numbers(count=40, sleep_s=1.0))

    assert ended(job_id, 60, between=stack.revive).status == JobStatus.SUCCEEDED
    with connection() as conn:
        told = text_of(entries_after(conn, job_id, 0))
    assert told == "".join(f"w{k} " for k in range(40))
    assert effects(job_id) == ["keep"]


def test_a_killed_child_of_the_pool_is_replaced_within_a_second(stack: Stack) -> None:
    job_id = start(pipelines.line, Numbers(sleep_s=4))
    running = wait_for(lambda: _running(job_id, "on_cpu"), 20)
    began = time.monotonic()

    os.kill(running.pid, 9)

    wait_for(lambda: _running(job_id, "on_cpu", epoch=running.epoch + 1), 10)
    assert time.monotonic() - began < 5
    assert ended(job_id, 30).status == JobStatus.SUCCEEDED


def _running(job_id: UUID, name: str, epoch: int = 1):  # type: ignore[no-untyped-def]
    with connection() as conn:
        return conn.execute(
            step.select().where(
                step.c.job_id == job_id,
                step.c.name == name,
                step.c.status == StepStatus.RUNNING,
                step.c.epoch >= epoch,
            )
        ).one_or_none()


def _hint(job_id: UUID) -> Hint:
    """What is sent of a job's first step."""
    with connection() as conn:
        first = step.select().where(step.c.job_id == job_id, step.c.position == 0)
        row = conn.execute(first).one()
    pipeline = read(job_id).pipeline
    return Hint(job_id, row.id, pipeline, row.name, "", row.queue, row.generation, 0)


def test_a_killed_worker_keeps_no_place_of_a_concurrency_key(stack: Stack) -> None:
    first = start(keyed, Keyed(sleep_s=2))
    wait_for(lambda: _running(first, "work"), 20)
    second = start(keyed, Keyed())

    stack.kill("io")

    ends = [ended(one, 60, between=stack.revive) for one in (first, second)]
    assert [one.status for one in ends] == [JobStatus.SUCCEEDED] * 2
    assert ends[1].started_at >= ends[0].finished_at


def test_a_worker_that_nobody_knows_of_yet_takes_no_step(stack: Stack, tmp_path: Path) -> None:
    stack.dismiss("io")
    unreachable = f"postgresql:///longrun?host={tmp_path}"
    patient = {"ENGINE_DEAD_AFTER_S": "60", "DATABASE_DIRECT_URL": unreachable}
    stack.start_worker("io", name="unknown", **patient)
    log = stack.folder / "worker-unknown.log"
    wait_for(lambda: "this node's heart tries again" in log.read_text(), 60)
    job_id = start(pipelines.line)
    publisher.send([_hint(job_id)])

    time.sleep(2)
    assert not _running(job_id, "write_first")
    assert read(job_id).status == JobStatus.QUEUED

    stack.dismiss("unknown")
    stack.start_worker("io")
    assert ended(job_id, 60).status == JobStatus.SUCCEEDED


def test_a_hint_delivered_many_times_runs_its_step_once(stack: Stack, tmp_path: Path) -> None:
    job_id = start(pipelines.halves, Numbers(folder=str(tmp_path)))
    hint = _hint(job_id)

    for _ in range(10):
        publisher.send([hint])

    assert ended(job_id).status == JobStatus.SUCCEEDED
    assert paid(tmp_path, "first-half") == 1
    assert paid(tmp_path, "second-half") == 2  # it fails once on purpose


def test_a_flushed_redis_costs_time_only(stack: Stack, valkey: EmbeddedValkey) -> None:
    jobs = [start(pipelines.line, Numbers(sleep_s=0.6)) for _ in range(6)]
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        for _ in range(3):
            time.sleep(0.4)
            client.flushall()

    assert {ended(one, 60).status for one in jobs} == {JobStatus.SUCCEEDED}
    assert all(effects(one) == ["first", "last"] for one in jobs)


def test_jobs_started_while_redis_is_down_run_when_it_is_back(
    stack: Stack, valkey: EmbeddedValkey
) -> None:
    valkey.stop()
    jobs = [start(pipelines.line) for _ in range(3)]
    time.sleep(1)
    assert {read(one).status for one in jobs} == {JobStatus.QUEUED}

    valkey.start()

    assert {ended(one, 90, between=stack.revive).status for one in jobs} == {JobStatus.SUCCEEDED}
    assert all(effects(one) == ["first", "last"] for one in jobs)


def test_a_restarted_postgres_loses_no_job(stack: Stack, postgres: EmbeddedPostgres) -> None:
    jobs = [start(pipelines.line, Numbers(sleep_s=1.5)) for _ in range(4)]
    time.sleep(0.7)

    postgres.stop()
    time.sleep(0.5)
    postgres.start()
    engine().dispose()

    assert {ended(one, 90, between=stack.revive).status for one in jobs} == {JobStatus.SUCCEEDED}
    assert all(effects(one) == ["first", "last"] for one in jobs)


def test_a_job_of_a_version_that_nobody_knows_ends_as_pipeline_changed(stack: Stack) -> None:
    job_id = start(pipelines.asking)
    wait_for(lambda: read(job_id).status == JobStatus.WAITING, 20)
    with connection() as conn:
        conn.execute(
            update(job).where(job.c.id == job_id).values(fingerprint="another", status="running")
        )

    told = ended(job_id, 30)

    assert told.status == JobStatus.FAILED
    assert told.error["code"] == "pipeline_changed"


def test_a_cancel_ends_a_job_in_mid_token_within_a_second(stack: Stack) -> None:
    job_id = start(pipelines.speaking, Numbers(count=200, sleep_s=20))
    wait_for(lambda: _running(job_id, "speak"), 20)
    time.sleep(0.3)
    began = time.monotonic()

    with connection() as conn:
        assert lifecycle.request_cancel(conn, job_id) is JobStatus.CANCELLING

    assert ended(job_id, 10).status == JobStatus.CANCELLED
    assert time.monotonic() - began < 3


def test_a_job_past_its_deadline_fails(stack: Stack) -> None:
    job_id = start(pipelines.line, Numbers(sleep_s=10), deadline_s=1)

    told = ended(job_id, 20)

    assert (told.status, told.error["code"]) == (JobStatus.FAILED, "deadline_exceeded")


def test_hints_are_given_out_in_order_of_priority(stack: Stack) -> None:
    with connection() as conn:
        limits = {"nowhere": 10}
        assert hints.take(conn, [uuid4()], limits) == []
    many = [start(pipelines.line, Numbers(sleep_s=0.3)) for _ in range(12)]
    urgent = start(pipelines.line, priority=50)
    done: list[UUID] = []

    def watch(one: UUID) -> None:
        ended(one, 60)
        done.append(one)

    threads = [threading.Thread(target=watch, args=[one]) for one in (*many, urgent)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.index(urgent) < 8
