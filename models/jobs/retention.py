"""What is forgotten, and what is remembered of it."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select

from config.settings import settings
from models.base import new_id, now, one_statement
from models.jobs.bookkeeping import idempotency, job_daily
from models.jobs.tables import job, step

BATCH = 500  # jobs in one transaction: short locks
BATCHES_AT_ONCE = 200  # of one run of the upkeep; what is left is for the next


def count_batches(conn: Connection) -> int:
    """Return how many batches of old jobs there are, BATCHES_AT_ONCE at most."""
    old = select(job.c.id).where(job.c.finished_at < oldest_kept()).limit(BATCH * BATCHES_AT_ONCE)
    found = conn.execute(select(func.count()).select_from(old.subquery())).scalar_one()
    return -(-found // BATCH)


def forget_keys(conn: Connection) -> int:
    """Delete old idempotency keys; return how many."""
    old = now() - timedelta(hours=settings.retention.idempotency_hours)
    return conn.execute(delete(idempotency).where(idempotency.c.created_at < old)).rowcount


def oldest_kept(days: float | None = None) -> datetime:
    """Return the moment before which whatever has ended is forgotten (RETENTION_JOBS_DAYS)."""
    return now() - timedelta(days=settings.retention.jobs_days if days is None else days)


_BLOBS_NAMED = one_statement(
    """
SELECT DISTINCT found[1] FROM job LEFT JOIN step ON step.job_id = job.id, regexp_matches(
    concat(job.input, step.output, step.checkpoint), '[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}', 'g'
) AS found
WHERE job.status <> 'succeeded'
"""
)


def blobs_named(conn: Connection) -> set[str]:
    """Return the keys of blobs that jobs speak of which go on, or may be gone on with."""
    return set(conn.execute(_BLOBS_NAMED).scalars())


def prune(conn: Connection, *, before: datetime) -> int:
    """Delete a batch of jobs that ended before a moment, add what they amounted to; count them."""
    ids = list(
        conn.execute(
            select(job.c.id)
            .where(job.c.finished_at < before)
            .order_by(job.c.finished_at)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).scalars()
    )
    if not ids:
        return 0
    conn.execute(insert(job_daily), [dict(row) | {"id": new_id()} for row in _totals(conn, ids)])
    conn.execute(delete(job).where(job.c.id.in_(ids)))
    return len(ids)


def _totals(conn: Connection, ids: list[object]) -> list[dict[str, object]]:
    day = func.date(job.c.finished_at)
    per_job = (
        select(
            step.c.job_id,
            func.count().label("steps"),
            func.coalesce(func.sum(step.c.attempt), 0).label("attempts"),
        )
        .where(step.c.job_id.in_(ids))
        .group_by(step.c.job_id)
        .subquery()
    )
    rows = conn.execute(
        select(
            day.label("day"),
            job.c.pipeline,
            job.c.status,
            func.count().label("jobs"),
            func.coalesce(func.sum(per_job.c.steps), 0).label("steps"),
            func.coalesce(func.sum(per_job.c.attempts), 0).label("attempts"),
        )
        .select_from(job.outerjoin(per_job, per_job.c.job_id == job.c.id))
        .where(job.c.id.in_(ids))
        .group_by(day, job.c.pipeline, job.c.status)
    )
    return [dict(row._mapping) for row in rows]
