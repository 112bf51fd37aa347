"""RabbitMQ as the broker: the same promises, whatever carries the hints."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from config.db import connection, engine
from config.settings import settings
from models.jobs.hints import Hint
from models.jobs.tables import JobStatus
from tasks import publisher
from tasks.celery import app
from tests.rabbitmq import BINARY, RabbitMQ
from tests.stack import ROOT, Stack, effects, ended, fresh_database, prepare_owner, read, wait_for

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not BINARY.exists(), reason="RabbitMQ is not installed"),
]


@pytest.fixture
def rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    server = RabbitMQ(tmp_path)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def stack(
    rabbitmq: RabbitMQ, _postgres_server: None, _valkey_server: None, tmp_path: Path
) -> Iterator[Stack]:
    fresh_database()
    prepare_owner()
    running = Stack(tmp_path / "stack", BROKER_URL=rabbitmq.url)
    running.start_workers()
    yield running
    running.stop()
    engine().dispose()


def post(client: httpx.Client, name: str, **numbers: object) -> UUID:
    answer = client.post(f"/jobs/tests.{name}", json=numbers).raise_for_status()
    return UUID(answer.json()["id"])


def done_steps(jobs: list[UUID]) -> int:
    with connection() as conn:
        done = text("SELECT count(*) FROM step WHERE job_id = ANY(:jobs) AND status = 'succeeded'")
        return int(conn.execute(done, {"jobs": jobs}).scalar_one())


def test_jobs_succeed_over_rabbitmq_also_when_it_was_down_as_they_began(
    stack: Stack, rabbitmq: RabbitMQ
) -> None:
    with httpx.Client(base_url=stack.start_web()) as client:
        jobs = [post(client, "line"), post(client, "fan", count=4), post(client, "speaking")]
        assert {ended(one, 60).status for one in jobs} == {JobStatus.SUCCEEDED}

        rabbitmq.kill()
        meanwhile = [post(client, "line") for _ in range(3)]
        assert {read(one).status for one in meanwhile} == {JobStatus.QUEUED}
        rabbitmq.start()

        ends = [ended(one, 90, between=stack.revive).status for one in meanwhile]
    assert set(ends) == {JobStatus.SUCCEEDED}
    assert [effects(one) for one in meanwhile] == [["first", "last"]] * 3


def test_busy_workers_are_held_up_neither_by_their_events_nor_by_a_restart(
    stack: Stack, rabbitmq: RabbitMQ
) -> None:
    with httpx.Client(base_url=stack.start_web()) as client:
        jobs = [post(client, "fan", count=100) for _ in range(3)]
        wait_for(lambda: done_steps(jobs) >= 30, 60)
        rabbitmq.kill()
        rabbitmq.start()
        assert {ended(one, 60).status for one in jobs} == {JobStatus.SUCCEEDED}


@pytest.mark.usefixtures("_postgres_server")
def test_a_broker_that_refuses_takes_no_hint_and_ends_no_publisher(
    rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fresh_database()
    wrong = rabbitmq.url.replace("guest:guest", "guest:wrong")
    configured = settings.broker.model_copy(update={"url": wrong})
    monkeypatch.setattr(publisher, "settings", settings.model_copy(update={"broker": configured}))
    monkeypatch.setattr(app.conf, "broker_write_url", wrong)
    hint = Hint(uuid4(), uuid4(), "tests.line", "write_first", "", "io", 1, 0)

    with ThreadPoolExecutor() as pool:  # a thread has a connection of its own
        pool.submit(publisher.send, [hint]).result(30)

    assert "The broker took 0 of 1 hints: AccessRefused" in caplog.text


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("file", ["test_engine.py", "test_deploys.py"])
def test_the_tests_of_the_engine_pass_over_rabbitmq(rabbitmq: RabbitMQ, file: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"tests/faults/{file}"]
    command += ["-k", "not while_redis_is_down"]  # nothing then keeps jobs waiting
    environment = os.environ | {"TEST_BROKER_URL": rabbitmq.url}

    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-8000:]
