"""What is forgotten, and what is remembered of it."""

from datetime import timedelta

from sqlalchemy import Connection, delete, func, insert, select

from config.db import connection
from config.settings import settings
from models.base import new_id, now
from models.jobs.tables import idempotency, job, job_daily, step

BATCH = 500  # jobs in one transaction: short locks


def prune_in_batches() -> None:
    """Delete what is older than the settings say, a batch at a time. Safe to repeat."""
    while True:
        with connection() as conn:
            if prune(conn) < BATCH:
                break
    with connection() as conn:
        old = now() - timedelta(hours=settings.retention.idempotency_hours)
        conn.execute(delete(idempotency).where(idempotency.c.created_at < old))


def prune(conn: Connection) -> int:
    """Delete a batch of old finished jobs and add what they amounted to; return their number."""
    old = now() - timedelta(days=settings.retention.jobs_days)
    ids = list(
        conn.execute(
            select(job.c.id)
            .where(job.c.finished_at < old)
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
