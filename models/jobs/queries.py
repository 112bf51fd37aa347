"""Reading jobs: one, many, and the numbers that operators watch."""

from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, func, or_, text
from sqlmodel import Session, select

from models.base import fixed
from models.errors import NotFound
from models.jobs import places
from models.jobs.bookkeeping import job_daily
from models.jobs.operating import ready_since
from models.jobs.steps import failed_steps
from models.jobs.tables import Job, JobStatus, StepStatus, job, step
from models.jobs.waiting import Waiting, WaitingReason, why_waiting


class JobNotFound(NotFound):
    """There is no such job."""

    code = "job_not_found"


class JobPublic(BaseModel):
    """A job as its owner sees it."""

    id: UUID
    public_id: str | None
    pipeline: str
    status: JobStatus
    progress: float
    error: dict[str, Any] | None
    priority: int
    forked_from: UUID | None
    parent_id: UUID | None
    cancel_requested_at: datetime | None
    deadline_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    input: dict[str, Any]
    output: dict[str, Any] | None = None  # of the last step, once the job has succeeded
    degraded: list[dict[str, Any]] = []  # the items that failed, when the job went on without them
    waiting_for: Waiting | None = None  # told of a single job that was asked for


def get_job(session: Session, ref: str | UUID, *, owner: UUID) -> Job:
    """Return the owner's job by its id or public id. Raises JobNotFound."""
    found = find_job(session, ref)
    if found.owner_id != owner:
        raise JobNotFound()
    return found


def find_job(session: Session, ref: str | UUID) -> Job:
    """Return anybody's job by its id or public id: for operators. Raises JobNotFound."""
    which: Any = Job.public_id == str(ref)
    with suppress(ValueError):
        which = or_(which, Job.id == UUID(str(ref)))  # type: ignore[arg-type]
    found = session.exec(select(Job).where(which)).first()
    if found is None:
        raise JobNotFound()
    return found


def list_jobs(
    session: Session,
    *,
    owner: UUID,
    status: JobStatus | None,
    pipeline: str | None,
    before: UUID | None,
    limit: int,
) -> list[Job]:
    """Return the owner's jobs, newest first, those older than `before`."""
    query = select(Job).where(Job.owner_id == owner).order_by(Job.id.desc()).limit(limit)  # type: ignore[attr-defined]
    if status is not None:
        query = query.where(Job.status == status)
    if pipeline is not None:
        query = query.where(Job.pipeline == pipeline)
    if before is not None:
        query = query.where(Job.id < before)
    return list(session.exec(query))


def describe(session: Session, found: Job) -> JobPublic:
    """Return a job with its output and the items it went on without."""
    told = JobPublic.model_validate(found, from_attributes=True)
    if found.status in (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_DEGRADED):
        told.output = job_output(session.connection(), found.id)
    if found.status == JobStatus.SUCCEEDED_DEGRADED:
        told.degraded = [
            {"step": row.name, "item": row.item_key, "error": row.error}
            for row in failed_steps(session.connection(), found.id)
        ]
    return told


def explain(session: Session, found: Job) -> JobPublic:
    """Return a job as `describe` does, and what it waits for."""
    told = describe(session, found)
    told.waiting_for = why_waiting(session.connection(), found)
    return told


def eta_s(found: Job, *, at: datetime) -> float | None:
    """Return how many seconds a running job will still take, if it goes on as it has gone so far.

    None before it has begun or once it has ended.
    """
    if found.started_at is None or found.finished_at is not None or found.progress <= 0:
        return None
    gone = (at - found.started_at).total_seconds()
    return round(max(0.0, gone * (1 - found.progress) / found.progress), 1)


def job_output(conn: Connection, job_id: UUID) -> dict[str, Any] | None:
    """Return the output of a job's last step that succeeded, if it is one of one."""
    output: dict[str, Any] | None = conn.execute(
        step.select()
        .with_only_columns(step.c.output)
        .where(step.c.job_id == job_id, step.c.status == StepStatus.SUCCEEDED)
        .order_by(step.c.position.desc(), step.c.item_index)
        .limit(1)
    ).scalar_one_or_none()
    return output


class QueueFigures(NamedTuple):
    """How many steps of a queue are in one state, and for how long the oldest has been."""

    queue: str
    status: str
    steps: int
    oldest_s: float


_ready = step.c.status == fixed(StepStatus.READY)
_begun = job.c.status.in_(
    fixed(one) for one in (JobStatus.RUNNING, JobStatus.WAITING, JobStatus.CANCELLING)
)
_LIVE = (  # which steps, and since when they are so: each kind is found by an index of its own
    (_ready & step.c.published_at.is_(None), ready_since()),
    (_ready & step.c.published_at.is_not(None), ready_since()),
    (step.c.status == fixed(StepStatus.RUNNING), step.c.started_at),
    (_begun & (step.c.status == fixed(StepStatus.WAITING)), step.c.started_at),
)


def queue_figures(conn: Connection) -> list[QueueFigures]:
    """Return how many steps wait or run, by queue and state."""
    found: dict[tuple[str, str], QueueFigures] = {}
    for which, since in _LIVE:
        age = func.coalesce(func.max(func.extract("epoch", func.now() - since)), 0)
        rows = conn.execute(
            step.join(job, step.c.job_id == job.c.id)
            .select()
            .with_only_columns(step.c.queue, step.c.status, func.count(), age)
            .where(which, job.c.finished_at.is_(None))
            .group_by(step.c.queue, step.c.status)
        )
        for queue, status, steps, oldest_s in rows:
            same = found.get((queue, status), QueueFigures(queue, status, 0, 0))
            oldest = max(same.oldest_s, float(oldest_s))
            found[queue, status] = QueueFigures(queue, status, same.steps + steps, oldest)
    return list(found.values())


def waiting_figures(conn: Connection) -> dict[str, int]:
    """Return how many jobs wait for a place of their key, and steps for their turn or a retry."""
    later = step.c.ready_at > func.now()
    ready = (step.c.status == fixed(StepStatus.READY)) & step.c.published_at.is_(None)
    row = conn.execute(
        step.select()
        .with_only_columns(func.count().filter(later).label("later"), func.count().label("all"))
        .where(ready)
    ).one()
    reasons = (WaitingReason.PLACE, WaitingReason.RETRY, WaitingReason.TURN)
    counts = (places.held_jobs(conn), row.later, row.all - row.later)
    return {reason.value: count for reason, count in zip(reasons, counts, strict=True)}


def job_figures(conn: Connection) -> list[Any]:
    """Return (pipeline, status, jobs, attempts), forgotten jobs included."""
    live = job.select().with_only_columns(
        job.c.pipeline, job.c.status, func.count().label("jobs")
    ).group_by(job.c.pipeline, job.c.status)  # fmt: skip
    past = job_daily.select().with_only_columns(
        job_daily.c.pipeline, job_daily.c.status, func.sum(job_daily.c.jobs).label("jobs")
    ).group_by(job_daily.c.pipeline, job_daily.c.status)  # fmt: skip
    both = live.union_all(past).subquery()
    query = both.select().with_only_columns(
        both.c.pipeline, both.c.status, func.sum(both.c.jobs).label("jobs")
    )
    return list(conn.execute(query.group_by(both.c.pipeline, both.c.status)))


_HOUR_AGO = func.now() - text("interval '1 hour'")


def step_latencies(conn: Connection) -> list[Any]:
    """Return (pipeline, name, steps, seconds, attempts) of the last hour's successes."""
    spent = func.extract("epoch", step.c.finished_at - step.c.started_at)
    return list(
        conn.execute(
            job.join(step, step.c.job_id == job.c.id)
            .select()
            .with_only_columns(
                job.c.pipeline, step.c.name, func.count().label("steps"),
                func.sum(spent).label("seconds"), func.sum(step.c.attempt).label("attempts"),
            )
            .where(
                step.c.status == StepStatus.SUCCEEDED,
                step.c.finished_at > _HOUR_AGO,
                # for the indexes of jobs: such a step's job goes on, or has ended since
                (_begun & job.c.finished_at.is_(None)) | (job.c.finished_at > _HOUR_AGO),
            )
            .group_by(job.c.pipeline, step.c.name)
        )
    )  # fmt: skip
