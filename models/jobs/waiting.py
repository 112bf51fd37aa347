"""Why a job that has not ended does nothing at the moment, in words for its owner."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, Row, func, select

from config.settings import settings
from models.base import now
from models.jobs import nodes, places
from models.jobs.tables import Job, JobStatus, StepStatus, step

COUNTED = 1_000  # steps ahead are counted so far only
LOOKED_AT = 100  # of a job's steps: those that run first, then the first that wait


class WaitingReason(StrEnum):
    """What a job waits for."""

    PLACE = "concurrency_key"  # others with its key to end
    ANSWER = "answer"  # a person
    RETRY = "retry"  # the time of its next attempt
    WORKER = "worker"  # a worker of its queue: none lives
    OWNER = "owner_limit"  # others of its owner to end
    TURN = "turn"  # its turn among those that wait for the queue
    SLOT = "slot"  # a free slot of a worker; it is the next or one of the next


class Waiting(BaseModel):
    """Why a job waits."""

    reason: WaitingReason
    step: str | None = None
    queue: str | None = None
    key: str | None = None
    position: int | None = None  # from 1, among its key's jobs or its owner's steps of a priority
    until: datetime | None = None


def why_waiting(conn: Connection, found: Job) -> Waiting | None:
    """Return what keeps a job from going on, if something does."""
    if found.finished_at is not None or found.status == JobStatus.CANCELLING:
        return None
    if found.concurrency_key and found.admitted_at is None:
        ahead = places.jobs_ahead(conn, found.id)
        return Waiting(
            reason=WaitingReason.PLACE, key=found.concurrency_key, position=min(ahead + 1, COUNTED)
        )
    rows = conn.execute(
        select(step)
        .where(
            step.c.job_id == found.id,
            step.c.status.in_((StepStatus.RUNNING, StepStatus.READY, StepStatus.WAITING)),
        )
        .order_by((step.c.status == StepStatus.RUNNING).desc(), step.c.position, step.c.id)
        .limit(LOOKED_AT)
    ).all()
    if not rows or any(row.status == StepStatus.RUNNING for row in rows):
        return None
    ready = [row for row in rows if row.status == StepStatus.READY]
    if not ready:
        return Waiting(reason=WaitingReason.ANSWER, step=rows[0].name)
    return _of_step(conn, min(ready, key=lambda row: row.ready_at or row.created_at))


def _of_step(conn: Connection, row: Row[Any]) -> Waiting:
    told: dict[str, Any] = {"step": row.name, "queue": row.queue}
    if row.ready_at is not None and row.ready_at > now():
        return Waiting(reason=WaitingReason.RETRY, until=row.ready_at, **told)
    live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
    if not nodes.slots(live).get(row.queue):
        return Waiting(reason=WaitingReason.WORKER, **told)
    if row.published_at is not None:
        return Waiting(reason=WaitingReason.SLOT, **told)
    limit = settings.engine.owner_steps
    reason = WaitingReason.OWNER if 0 < limit <= _busy(conn, row) else WaitingReason.TURN
    return Waiting(reason=reason, position=_ahead(conn, row) + 1, **told)


def _busy(conn: Connection, row: Row[Any]) -> int:
    published = (step.c.status == StepStatus.READY) & step.c.published_at.is_not(None)
    query = select(func.count()).where(
        step.c.queue == row.queue,
        step.c.owner_id == row.owner_id,
        published | (step.c.status == StepStatus.RUNNING),
    )
    return int(conn.execute(query).scalar_one())


def _ahead(conn: Connection, row: Row[Any]) -> int:
    line = (
        select(step.c.id)
        .where(
            step.c.queue == row.queue,
            step.c.owner_id == row.owner_id,
            step.c.priority == row.priority,
            step.c.id < row.id,
            step.c.status == StepStatus.READY,
            step.c.published_at.is_(None),
        )
        .limit(COUNTED)
    )
    return int(conn.execute(select(func.count()).select_from(line.subquery())).scalar_one())
