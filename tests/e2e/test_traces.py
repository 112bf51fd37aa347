"""Traces of real processes: a server, a worker with threads, one that forks."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config.db import engine
from tests.otlp_receiver import Receiver
from tests.scripted_model import Served
from tests.stack import Stack, fresh_database, live_queues, prepare_owner, wait_for

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    seen = Receiver()
    with Served(seen) as served:
        yield seen, served.base.removesuffix("/v1")


@pytest.mark.usefixtures("_postgres_server", "_valkey_server")
def test_a_trace_goes_through_all_processes_that_a_job_does(
    tmp_path: Path, receiver: tuple[Receiver, str]
) -> None:
    seen, endpoint = receiver
    fresh_database()
    prepare_owner()
    stack = Stack(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    try:
        for queue in ("io", "cpu"):
            stack.start_worker(queue)
        url = stack.start_web()
        wait_for(lambda: live_queues() >= {"io", "cpu"}, 90)
        answer = httpx.post(
            f"{url}/jobs/tests.line", json={}, headers={"Prefer": "wait=60"}, timeout=90
        )
        assert answer.json()["status"] == "succeeded"
        wait_for(lambda: [one for one in seen.spans if one.name == "job tests.line"], 60)
    finally:
        stack.stop()
        engine().dispose()

    request = seen.named("POST /jobs/{pipeline}")
    job = seen.named("job tests.line")
    steps = [one for one in seen.spans if one.parent == job.id]
    assert [one.name.rpartition(".")[2] for one in sorted(steps, key=lambda one: one.began)] == [
        "write_first", "flaky_step", "on_cpu", "write_last",
    ]  # fmt: skip
    assert seen.named("enqueue tests.line").parent == request.id
    assert {one.trace for one in [request, job, *steps]} == {request.trace}
    assert len({one.attributes["longrun.node.id"] for one in steps}) == 2
