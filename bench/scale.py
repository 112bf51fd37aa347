"""What grows with the queue, and with the items of one job: nothing should.

The same acts with 1,000 and with 100,000 jobs queued, each in this process as a route or a worker
does it; then one job that fans out, short and long, carried out by a real worker.
"""

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import func, select, text

from bench.figures import Figure, bounded, compared, median, percentile
from bench.servers import wait_until, worker
from bench.throughput import start
from bench.work import prepare

QUEUED = (1_000, 100_000)
ITEMS = (500, 5_000)
ROUNDS = 150
QUIET = 0.25  # what the machine's other work does to a figure is left out
WARM_UP = 15  # psycopg prepares a statement that comes for the sixth time
FLAT = 1.5  # times: caches are colder, indexes a level deeper
SLOTS = 8
EVENTS_PER_ITEM = 5  # started, succeeded, and a few of the progress it tells five times


def measure(scale: float) -> list[Figure]:
    """Fill the queue twice, then fan out twice."""
    prepare()
    few, many = (max(100, int(size * scale)) for size in QUEUED)
    before = _acts(few)
    after = _acts(many)
    figures = [
        compared(
            f"{name}, {many:,} jobs queued", percentile(after[name], QUIET), "ms",
            percentile(before[name], QUIET), f"ms with {few:,}", at_most=FLAT,
            note=f"the quickest quarter; p50 {median(after[name]):.1f} ms, "
            f"with few {median(before[name]):.1f} ms",
        )
        for name in before
    ]  # fmt: skip
    _empty()
    return [*figures, *_fans(max(50, int(ITEMS[0] * scale)), max(100, int(ITEMS[1] * scale)))]


def _acts(queued: int) -> dict[str, list[float]]:
    """Return how long each act takes, in milliseconds, with so many jobs in the queue."""
    from bench.pipelines import line
    from config.db import connection
    from models.jobs import hints
    from tasks import dispatcher
    from tests.crowd import multiply

    model = start(line, "queued")
    with connection() as conn:
        have = conn.execute(text("SELECT count(*) FROM job WHERE status = 'queued'")).scalar_one()
        waiting = multiply(conn, model, queued - have)
    _analyze()
    acts: dict[str, Callable[[UUID], object]] = {
        "enqueue a job of four steps": lambda _: start(line, "queued"),
        "claim and complete a step": _carry_out,
        "choose ten hints": lambda _: _undone(partial(hints.take_due, queue="cpu", limit=10)),
        "dispatcher's look at what is to be repaired": (
            lambda _: dispatcher.repair(trust_silence=True)
        ),
        "a page of the list of jobs": _page,
    }
    return {name: _timed(act, waiting) for name, act in acts.items()}


def _timed(act: Callable[[UUID], object], jobs: list[UUID]) -> list[float]:
    found = []
    for job_id in jobs[-(ROUNDS + WARM_UP) :]:
        began = time.perf_counter()
        act(job_id)
        found.append(1000 * (time.perf_counter() - began))
    return found[WARM_UP:]


def _undone(act: Callable[..., object]) -> None:
    """Do something in a transaction that is rolled back."""
    from config.db import engine

    with engine().connect() as conn:
        act(conn)
        conn.rollback()


def _carry_out(job_id: UUID) -> None:
    from bench.pipelines import line
    from config.db import connection, single_statement
    from models.jobs import claims
    from models.jobs.tables import step

    taker = claims.Taker(node=uuid4(), pid=0, lease_s=600, idle_s=600)
    with single_statement() as conn:
        first = select(step.c.id).where(step.c.job_id == job_id, step.c.position == 0)
        step_id = conn.execute(first).scalar_one()
        held = claims.claim(conn, job_id, step_id, 1, fingerprint=line.fingerprint, taker=taker)
        assert held is not None
        assert claims.advance(conn, held, {}, taker=taker, take=False)
    with connection() as conn:  # the next act finds as many in the queue as this one
        conn.execute(step.delete().where(step.c.job_id == job_id))


def _page(job_id: UUID) -> None:
    from config.db import transaction
    from models.accounts import LOCAL_USER_ID
    from models.jobs.queries import list_jobs

    with transaction() as session:
        assert list_jobs(
            session, owner=LOCAL_USER_ID, status=None, pipeline=None, before=job_id, limit=50
        )


def _analyze() -> None:
    from config.db import engine

    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))


def _empty() -> None:
    from config.db import connection

    with connection() as conn:
        conn.execute(text("TRUNCATE job CASCADE"))
    _analyze()


def _fans(short: int, long: int) -> list[Figure]:
    """Fan a job out, and time it per item."""
    from bench.pipelines import fan

    with worker("io", "bench.worker", slots=SLOTS):
        _fan(fan, 50)
        brief = _fan(fan, short)
        whole = _fan(fan, long)
    (few_ms, _), (many_ms, events) = brief, whole
    return [
        compared(
            f"an item of {long:,}, on {SLOTS} threads", many_ms, "ms", few_ms,
            f"ms of {short:,}", at_most=FLAT, note=f"{long * many_ms / 1000:.0f} s in all",
        ),
        bounded(
            "events per item of a fan-out", events / long, "", at_most=EVENTS_PER_ITEM,
            note=f"{events:,} in all",
        ),
    ]  # fmt: skip


def _fan(pipeline: object, items: int) -> tuple[float, int]:
    """Return milliseconds per item, and how many events the job has."""
    from config.db import single_statement
    from models.jobs.tables import job, job_event

    began = time.monotonic()
    job_id = start(pipeline, str(items))

    def ended() -> bool:
        time.sleep(0.05)
        with single_statement() as conn:
            status = conn.execute(select(job.c.status).where(job.c.id == job_id)).scalar_one()
        assert status in ("queued", "running", "succeeded"), status
        return bool(status == "succeeded")

    wait_until(ended, f"a fan-out to {items}", 600)
    took = time.monotonic() - began
    with single_statement() as conn:
        told = select(func.count()).where(job_event.c.job_id == job_id)
        return 1000 * took / items, int(conn.execute(told).scalar_one())
