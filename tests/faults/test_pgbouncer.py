"""Everything but what needs a session works through PgBouncer in transaction mode."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import make_url, text

from config.db import connection, engine
from config.local import EmbeddedPostgres
from models.jobs.tables import JobStatus
from tests.pgbouncer import BINARY, POOL_SIZE, PgBouncer
from tests.stack import Stack, effects, ended, fresh_database, live_queues, prepare_owner

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(BINARY is None, reason="PgBouncer is not installed"),
]


@pytest.fixture
def stack(postgres: EmbeddedPostgres, _valkey_server: None, tmp_path: Path) -> Iterator[Stack]:
    fresh_database()
    prepare_owner()
    pooler = PgBouncer(tmp_path, postgres)
    pooler.start()
    database = make_url(os.environ["DATABASE_URL"]).database
    urls = {
        "DATABASE_URL": f"{pooler.url}/{database}",
        "DATABASE_DIRECT_URL": os.environ["DATABASE_URL"],
    }
    running = Stack(tmp_path / "stack", **urls)
    yield running
    running.stop()
    engine().dispose()
    pooler.remove()


def test_jobs_succeed_through_a_pooler_that_gives_each_transaction_another_connection(
    stack: Stack,
) -> None:
    with connection() as conn:
        name = conn.scalar(text("SELECT current_database()"))
        conn.execute(text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'"))
    stack.start_workers()
    with httpx.Client(base_url=stack.start_web()) as client:
        wanted = {"line": {"sleep_s": 1}, "fan": {"count": 4}, "speaking": {"count": 30}}
        started = [
            client.post(f"/jobs/tests.{name}", json=body).raise_for_status().json()
            for name, body in wanted.items()
            for _ in range(4)
        ]
        stack.workers["io"].send_signal(signal.SIGKILL)
        jobs = [UUID(one["id"]) for one in started]
        ends = [ended(one, 60, between=stack.revive) for one in jobs]
        seen = client.get(f"/jobs/{jobs[0]}").json()

    assert {one.status for one in ends} == {JobStatus.SUCCEEDED}
    assert [effects(one) for one in jobs] == [["first", "last"]] * 4 + [["record"]] * 4 + [
        ["keep"]
    ] * 4
    assert seen["created_at"].endswith("Z"), "times are told in UTC, whatever the server's zone"
    assert live_queues() >= {"io", "cpu", "stream"}
    with connection() as conn:
        pooled = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'longrun'"
        others = "AND pid <> pg_backend_pid() AND client_port = -1 AND datname = current_database()"
        assert 0 < conn.scalar(text(f"{pooled} {others}")) <= POOL_SIZE + 1
