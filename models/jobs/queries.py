"""Reading jobs: one, many, their steps, and the numbers that operators watch."""

from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, case, func, or_, text
from sqlmodel import Session, select

from models.errors import NotFound
from models.jobs.dispatch import task_id
from models.jobs.operating import ready_since
from models.jobs.tables import Job, JobStatus, Step, StepStatus, job, job_daily, step


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


class StepPublic(BaseModel):
    """A step as the job's owner sees it."""

    id: UUID
    name: str
    item: str
    position: int
    queue: str
    status: StepStatus
    attempt: int
    max_attempts: int
    progress: dict[str, Any] | None
    question: dict[str, Any] | None
    error: dict[str, Any] | None
    node: UUID | None
    task_id: UUID  # of its last hint; Flower shows it, unless the task before ran this step, too
    started_at: datetime | None
    finished_at: datetime | None
    retry_at: datetime | None
    output: dict[str, Any] | None = None


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
            for row in list_steps(session, found.id)
            if row.status == StepStatus.FAILED
        ]
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


def list_steps(session: Session, job_id: UUID) -> list[Step]:
    """Return the plan of a job, in order."""
    query = select(Step).where(Step.job_id == job_id)
    return list(session.exec(query.order_by(Step.position, Step.name, Step.item_index)))  # type: ignore[arg-type]


def describe_step(row: Step) -> StepPublic:
    """Return a step as its job's owner sees it."""
    return StepPublic(
        **{
            name: getattr(row, name)
            for name in StepPublic.model_fields
            if name not in ("item", "retry_at", "task_id")
        },
        item=row.item_key,
        task_id=task_id(row.id, row.generation),
        retry_at=row.ready_at if row.status == StepStatus.READY else None,
    )


def queue_figures(conn: Connection) -> list[Any]:
    """Return (queue, status, steps, oldest_s) of steps that wait or run."""
    since = case((step.c.status == StepStatus.READY, ready_since()), else_=step.c.started_at)
    age = func.extract("epoch", func.now() - since)
    return list(
        conn.execute(
            step.join(job, step.c.job_id == job.c.id)
            .select()
            .with_only_columns(
                step.c.queue, step.c.status, func.count().label("steps"),
                func.coalesce(func.max(age), 0).label("oldest_s"),
            )
            .where(step.c.status.in_((StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING)))
            .group_by(step.c.queue, step.c.status)
        )
    )  # fmt: skip


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
                step.c.finished_at > func.now() - text("interval '1 hour'"),
            )
            .group_by(job.c.pipeline, step.c.name)
        )
    )  # fmt: skip
