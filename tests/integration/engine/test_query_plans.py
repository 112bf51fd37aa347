"""Every statement that the engine runs often finds its rows by an index, however many there are."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from config.db import connection, engine, transaction
from models.jobs import dispatch, idempotency, nodes, queries, retention, running, steps, streams
from models.jobs.claims import Claim, Taker, claim
from models.jobs.tables import Job, step
from tasks import dispatcher, runner
from tasks.pipeline import REGISTRY
from tests import inline, pipelines
from tests.crowd import multiply
from tests.explaining import Scan, watched
from tests.pipelines import OWNER
from tests.stack import fresh_database, prepare_owner, start

ENDED, WAITING = 2_400, 400  # jobs: enough for Postgres to prefer an index
BIG = {"job", "step", "job_event", "stream_segment", "idempotency"}
MOST_ROWS = 250  # that one look may read of a big table: a few pages' worth, whatever there is
SLOTS = {"io": 8, "cpu": 2, "stream": 8}
TRIED = 5  # times that Postgres plans a statement with its values before it compares


@pytest.fixture(scope="module")
def crowded(_postgres_server: None, _valkey_server: None) -> Iterator[list[UUID]]:
    """Full tables; the ids of jobs that wait for a worker."""
    fresh_database()
    prepare_owner()
    ended = [start(pipelines.line), start(pipelines.fan), start(pipelines.speaking)]
    inline.drain()
    waiting = start(pipelines.line)
    with connection() as conn:
        for table in ("job", "step"):
            conn.execute(text(f"UPDATE {table} SET finished_at = finished_at - interval '2 days'"))
        for job_id in ended:
            multiply(conn, job_id, ENDED // len(ended))
        ids = multiply(conn, waiting, WAITING)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))
    yield ids
    engine().dispose()


def too_much(scans: list[Scan], *, most_rows: float = MOST_ROWS) -> list[str]:
    """Return what read a big table from end to end, or more of it than `most_rows`."""
    of_big = [one for one in scans if one.table in BIG]
    return [str(one) for one in of_big if one.kind == "Seq Scan" or one.rows > most_rows]


def enqueue(_: UUID) -> None:
    for pipeline in (pipelines.line, pipelines.fan, pipelines.speaking):
        start(pipeline)


def publish(_: UUID) -> None:
    dispatcher.publish_due(SLOTS)


def repair(_: UUID) -> None:
    dispatcher.repair(trust_silence=True)


def bury(_: UUID) -> None:
    dispatcher.release_node(uuid4())


def carry_out(job_id: UUID) -> None:
    """Claim, run and complete the steps of a job."""
    assert run_to_its_end(job_id) == "succeeded"


def run_to_its_end(job_id: UUID) -> str:
    while True:
        with connection() as conn:
            ready = step.select().where(step.c.job_id == job_id, step.c.status == "ready")
            row = conn.execute(ready).first()
        if row is None:
            with transaction() as session:
                return queries.get_job(session, job_id, owner=OWNER).status
        pipeline = REGISTRY["tests.line"]
        runner.carry_out(pipeline, pipeline.steps[row.name], job_id, row.id, row.generation)


def report(job_id: UUID) -> None:
    """Claim a step and tell its progress, as each running step does."""
    held = taken(job_id)
    with connection() as conn:
        running.report_progress(conn, held, 1, 2, "halves", idle_s=60)
        running.should_stop(conn, held, idle_s=60)
        running.save_checkpoint(conn, held, {"half": 1})
        running.load_outputs(conn, job_id, ["write_first"])
        running.step_state(conn, held.step_id)


def taken(job_id: UUID) -> Claim:
    with connection() as conn:
        ready = step.select().where(step.c.job_id == job_id, step.c.status == "ready")
        row = conn.execute(ready).one()
        held = claim(
            conn, job_id, row.id, row.generation, taker=Taker(uuid4(), 0, 60, 60),
            fingerprint=pipelines.line.fingerprint,
        )  # fmt: skip
    assert held is not None
    return held


def beat(job_id: UUID) -> None:
    values = {"id": uuid4(), "hostname": "h", "pid": 1, "slots": SLOTS, "fingerprints": {}}
    with connection() as conn:
        nodes.beat(conn, values | {"draining": False}, lease_s=20)


def stop(job_id: UUID) -> None:
    dispatcher.stop_job(job_id, dispatcher.OVERDUE)


def follow(job_id: UUID) -> None:
    with connection() as conn:
        streams.heads(conn, [job_id])
        streams.events_after(conn, job_id, 0, limit=streams.PAGE_EVENTS)
        streams.entries_after(conn, job_id, 0, segments=streams.PAGE_SEGMENTS)
        streams.newest_epoch(conn, job_id)


def read(job_id: UUID) -> None:
    with transaction() as session:
        found = queries.get_job(session, job_id, owner=OWNER)
        queries.describe(session, found)
        steps.list_steps(session, job_id)
        for before in (None, job_id):
            queries.list_jobs(
                session, owner=OWNER, status=None, pipeline=None, before=before, limit=50
            )


def replay(job_id: UUID) -> None:
    def begin() -> Job:
        raise AssertionError("its key is known")

    with transaction() as session:
        known, older = idempotency.once(
            session, begin, owner=OWNER, route="crowd", key=str(job_id), said="crowd"
        )
        assert (known.id, older) == (job_id, True)


EVERYDAY = (
    enqueue, publish, repair, bury, carry_out, report, beat, stop, follow, read, replay,
)  # fmt: skip


@pytest.mark.parametrize("act", EVERYDAY, ids=lambda act: act.__name__)
def test_what_the_engine_asks_often_reads_few_rows(
    crowded: list[UUID], act: Callable[[UUID], None]
) -> None:
    job_id = crowded[100 + EVERYDAY.index(act)]
    with watched() as scans:
        act(job_id)

    assert scans
    assert not too_much(scans)


def count_queues() -> None:
    with connection() as conn:
        queries.queue_figures(conn)


def time_steps() -> None:
    with connection() as conn:
        queries.step_latencies(conn)


def look_for_unknown() -> None:
    with connection() as conn:
        dispatch.unknown_jobs(conn, {(p.name, p.fingerprint) for p in REGISTRY.values()})


def look_for_old() -> None:
    with connection() as conn:
        retention.count_batches(conn)
        retention.prune(conn, before=retention.oldest_kept())


@pytest.mark.parametrize(
    "act", [count_queues, time_steps, look_for_unknown, look_for_old], ids=lambda act: act.__name__
)
def test_what_counts_live_jobs_does_not_read_those_that_have_ended(
    crowded: list[UUID], act: Callable[[], None]
) -> None:
    with watched() as scans:
        act()

    assert scans
    assert not too_much(scans, most_rows=10 * WAITING)


def test_what_every_step_pays_for_is_planned_once(crowded: list[UUID]) -> None:
    """Postgres plans a statement anew each time if that seems cheaper with what is in it."""
    engine().dispose()
    for job_id in crowded[-12:]:
        assert run_to_its_end(job_id) == "succeeded"

    claimed, went_on = "WITH live AS", "WITH ahead A"
    tried = plans_with_values()
    assert {one[:12] for one, _ in tried} >= {claimed, went_on}
    assert max(times for one, times in tried if one[:12] in (claimed, went_on)) <= TRIED


def plans_with_values() -> list[tuple[str, int]]:
    """Statements that are planned without their values, and how often they were with them."""
    told = text(
        "SELECT statement, custom_plans FROM pg_prepared_statements WHERE generic_plans > 0"
    )
    pool: Any = engine().pool
    with ExitStack() as pooled:  # another thread may have used a second one
        every = [pooled.enter_context(connection()) for _ in range(pool.checkedin())]
        return [(row.statement, row.custom_plans) for one in every for row in one.execute(told)]
