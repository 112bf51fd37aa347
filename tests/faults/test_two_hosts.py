"""A host that is cut off, not killed: its work goes on elsewhere, what it says later is void."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url, text

from config.db import connection, engine
from config.local import EmbeddedPostgres, EmbeddedValkey
from models.jobs.bookkeeping import node
from models.jobs.tables import JobStatus, StepStatus, step
from tests import pipelines
from tests.hosts import Hosts, Relay, pids_of, why_not
from tests.pipelines import Numbers
from tests.stack import (
    FAST,
    Stack,
    effects,
    ended,
    fresh_database,
    live_queues,
    prepare_owner,
    start,
    wait_for,
)  # fmt: skip

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
TAKEN_OVER_S = 30  # from the cut to the step's next attempt, at default settings too
NAMES = ("a", "b")
DEFAULTS = {name: "" for name in FAST if name.startswith("ENGINE_") and name != "ENGINE_PRELOAD"}


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if problem := why_not():
        pytest.skip(problem)
    made = Hosts(NAMES)
    with made.running():
        yield made


@pytest.fixture
def stores(
    hosts: Hosts, postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> Iterator[dict[str, str]]:
    """Where the stores are, as seen from the hosts."""
    fresh_database()
    prepare_owner()
    relays = [
        Relay(hosts.address, postgres.sockets / ".s.PGSQL.5432"),
        Relay(hosts.address, valkey.socket),
    ]
    database = make_url(os.environ["DATABASE_URL"]).database
    yield {
        "DATABASE_URL": f"postgresql://postgres@{hosts.address}:{relays[0].port}/{database}",
        "REDIS_URL": f"redis://{hosts.address}:{relays[1].port}/0",
    }
    for relay in relays:
        relay.close()
    engine().dispose()


@pytest.mark.parametrize("clock", [{}, DEFAULTS], ids=["fast", "default settings"])
def test_a_host_that_is_cut_off_is_replaced_and_its_late_writes_match_nothing(
    hosts: Hosts, stores: dict[str, str], clock: dict[str, str], tmp_path: Any
) -> None:
    stack = Stack(tmp_path, **clock)
    for name in NAMES:
        stack.start_worker("io", name=name, inside=hosts.inside(name), **stores)
    stack.start_worker("cpu")
    try:
        wait_for(lambda: live_queues() >= {"io", "cpu"} and len(_nodes()) == 3, 90)
        job_id = start(pipelines.line, Numbers(sleep_s=8, folder=str(tmp_path)))
        first = wait_for(lambda: _running(job_id, epoch=1), 30)
        cut_off = _host_of(stack, first.node)

        hosts.cut(cut_off)

        again = wait_for(lambda: _running(job_id, epoch=2), TAKEN_OVER_S)
        assert _host_of(stack, again.node) != cut_off
        assert ended(job_id, 60).status == JobStatus.SUCCEEDED
        assert first.node not in _nodes()

        hosts.mend(cut_off)

        wait_for(lambda: first.node in _nodes(), 120)
        wait_for(lambda: _works(first.node), 60, between=lambda: start(pipelines.halves))
        assert effects(job_id) == ["first", "last"]
        assert _told(job_id).count("step.succeeded") == 4
        assert _told(job_id)[-1] == "job.succeeded"
    finally:
        for name in NAMES:
            hosts.mend(name)
        stack.stop()


def _running(job_id: UUID, *, epoch: int) -> Any:
    with connection() as conn:
        return conn.execute(
            step.select().where(
                step.c.job_id == job_id,
                step.c.name == "flaky_step",
                step.c.status == StepStatus.RUNNING,
                step.c.epoch == epoch,
            )
        ).one_or_none()


def _nodes() -> dict[UUID, int]:
    """Return the process of each node that is known to live."""
    with connection() as conn:
        return {row.id: row.pid for row in conn.execute(node.select())}


def _host_of(stack: Stack, node_id: UUID) -> str:
    pid = _nodes()[node_id]
    return next(name for name in NAMES if pid in pids_of(stack.workers[name].pid))


def _works(node_id: UUID) -> bool:
    """Say whether a node has done something in the last second or so."""
    recent = step.c.finished_at > text("now() - interval '2 seconds'")
    with connection() as conn:
        return conn.execute(step.select().where(step.c.node == node_id, recent)).first() is not None


def _told(job_id: UUID) -> list[str]:
    with connection() as conn:
        query = text("SELECT type FROM job_event WHERE job_id = :job ORDER BY seq")
        return list(conn.execute(query, {"job": job_id}).scalars())
