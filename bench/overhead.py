"""What one step costs over one bare Celery task, on the same broker and the same kind of pool."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from sqlalchemy import func, select

from bench.figures import Figure, bounded, compared, median, percentile
from bench.servers import wait_until, worker
from bench.throughput import start
from bench.work import hear, insert, prepare

ROUNDS = 100
WARM_UP = 10
CLAIMS = 200
BURSTS = 3
BURST = 150
SLOTS = 2  # processes of the prefork pools
NODE = uuid4()  # of the steps that are taken in this process


def measure(scale: float) -> list[Figure]:
    """Take steps in this process; then run one at a time on empty queues, and many at once."""
    prepare()
    claims = _claims(int(CLAIMS * scale) + WARM_UP)
    with (
        worker("cpu", "bench.worker", slots=SLOTS),
        worker("bare", "bench.peers.celery_chain", slots=SLOTS, pool="prefork"),
    ):
        delays = _delays(int(ROUNDS * scale) + WARM_UP)
        rates = _rates(max(20, int(BURST * scale)))
    return [claims, *delays, rates]


def _claims(number: int) -> Figure:
    """Claim, load and complete steps that no worker knows of yet, in this process."""
    from bench.pipelines import single

    ours, commits = [], []
    for _ in range(number):
        job_id = start(single, "here")
        step_id = _only_step(job_id)
        began = time.perf_counter()
        _carry_out(job_id, step_id)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        insert("here", 1)
        commits.append(time.perf_counter() - began)
    return compared(
        "claim, load and complete of a step, in process, p50",
        1000 * median(ours[WARM_UP:]), "ms", 1000 * median(commits[WARM_UP:]),
        "INSERT and commit by psycopg", note="two commits",
    )  # fmt: skip


def _carry_out(job_id: UUID, step_id: UUID) -> None:
    from bench.pipelines import single
    from config.db import single_statement
    from models.jobs import claims

    taker = claims.Taker(node=NODE, pid=0, lease_s=20, idle_s=60)
    with single_statement() as conn:
        held = claims.claim(
            conn, job_id, step_id, 1, fingerprint=single.fingerprint, taker=taker,
            needs=single.singles(single.specs[0]),
        )  # fmt: skip
    assert held is not None
    single.input.model_validate(held.input)
    with single_statement() as conn:
        assert claims.advance(conn, held, {}, taker=taker, take=False)


def _delays(number: int) -> list[Figure]:
    """Start one at a time, in turn; measure until its function runs, and until it is done."""
    from bench.peers.celery_chain import tell
    from bench.pipelines import single

    ours, ended, bare = [], [], []
    for _ in range(number):
        began = time.time()
        job_id = start(single, uuid4().hex)
        ours.append(1000 * (float(hear()["at"]) - began))
        ended.append(1000 * (_end_of(job_id) - began))
        began = time.time()
        tell.delay("bare")
        bare.append(1000 * (float(hear()["at"]) - began))
    p50 = median(bare[WARM_UP:])
    added = [mine - p50 for mine in ended[WARM_UP:]]
    return [
        compared(
            "start of a job to its function running, p50", median(ours[WARM_UP:]), "ms", p50,
            "bare Celery task", note="recorded and claimed in Postgres",
        ),
        compared(
            "start of a job of one step to its end, p50", median(ended[WARM_UP:]), "ms", p50,
            "bare Celery task", note="recorded, claimed and completed in Postgres",
        ),
        bounded(
            "added by the engine to one step, p50", median(added), "ms",
            note=f"p95 {percentile(added, 0.95):.1f} ms",
        ),
    ]  # fmt: skip


def _end_of(job_id: UUID) -> float:
    """Wait for a job, and return when it ended (seconds since the epoch, by Postgres's clock)."""
    from config.db import single_statement
    from models.jobs.tables import job

    wait_until(lambda: _unfinished() == 0, "a job")
    with single_statement() as conn:
        ended = conn.execute(select(job.c.finished_at).where(job.c.id == job_id)).scalar_one()
    return float(ended.timestamp())


def _rates(number: int) -> Figure:
    """Start many at once, in turn; measure until the last is done."""
    from bench.peers.celery_chain import tell
    from bench.pipelines import single

    ours, bare = [], []
    for _ in range(BURSTS + 1):  # the first warms up
        ours.append(_burst(lambda run: start(single, run), number))
        bare.append(_burst(lambda run: tell.delay(run), number))
    spread = [f"{min(found[1:]):.0f} to {max(found[1:]):.0f}" for found in (ours, bare)]
    return compared(
        "one-step jobs per second", median(ours[1:]), "/s", median(bare[1:]), "bare Celery tasks",
        note=f"{spread[0]} against {spread[1]}, prefork {SLOTS}",
    )  # fmt: skip


def _burst(begin: Callable[[str], object], number: int) -> float:
    began = time.monotonic()
    for _ in range(number):
        begin("burst")
    for _ in range(number):
        hear()
    wait_until(lambda: _unfinished() == 0, "jobs")
    return number / (time.monotonic() - began)


def _unfinished() -> int:
    from config.db import single_statement
    from models.jobs.tables import job

    with single_statement() as conn:
        found = conn.execute(select(func.count()).where(job.c.finished_at.is_(None)))
        return int(found.scalar_one())


def _only_step(job_id: UUID) -> UUID:
    from config.db import single_statement
    from models.jobs.tables import step

    with single_statement() as conn:
        return UUID(
            str(conn.execute(select(step.c.id).where(step.c.job_id == job_id)).scalar_one())
        )
