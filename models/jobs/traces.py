"""Where jobs stand in traces: the span that each was started in, and whether its own is sent."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from models.jobs.tables import job, job_event


def traceparents(conn: Connection, job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the traceparents of those of these jobs that are traced."""
    query = select(job.c.id, job.c.traceparent).where(
        job.c.id.in_(job_ids), job.c.traceparent.is_not(None)
    )
    return {row.id: row.traceparent for row in conn.execute(query)} if job_ids else {}


def put_traceparent(conn: Connection, job_id: UUID, traceparent: str) -> None:
    """Let a job go on under another span; its own is sent anew when it ends."""
    conn.execute(
        update(job).where(job.c.id == job_id).values(traceparent=traceparent, traced_at=None)
    )


def take_ended(conn: Connection, limit: int) -> list[Row[Any]]:
    """Return traced jobs that have ended, each once; `since`: when one began, or was resumed."""
    chosen = (
        select(job.c.id)
        .where(
            job.c.traceparent.is_not(None),
            job.c.traced_at.is_(None),
            job.c.finished_at.is_not(None),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    resumed = (
        select(func.max(job_event.c.at))
        .where(job_event.c.job_id == job.c.id, job_event.c.type == "job.resumed")
        .scalar_subquery()
    )
    return list(
        conn.execute(
            update(job)
            .where(job.c.id.in_(chosen.scalar_subquery()))
            .values(traced_at=func.clock_timestamp())
            .returning(
                job.c.id, job.c.pipeline, job.c.status, job.c.priority, job.c.error,
                job.c.traceparent, job.c.finished_at,
                func.coalesce(resumed, job.c.created_at).label("since"),
            )
        )
    )  # fmt: skip
