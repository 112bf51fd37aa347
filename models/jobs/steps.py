"""Reading the steps of a job, page by page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, Row, tuple_
from sqlalchemy.orm import defer
from sqlmodel import Session, select

from config.settings import settings
from models.errors import NotFound
from models.jobs.hints import task_id
from models.jobs.tables import Step, StepStatus, step


class StepNotFound(NotFound):
    """The job has no such step."""

    code = "step_not_found"


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
    flower_url: str | None  # where Flower shows that task, for as long as it remembers it
    started_at: datetime | None
    finished_at: datetime | None
    retry_at: datetime | None
    output: dict[str, Any] | None = None


_IN_ORDER = (step.c.position, step.c.name, step.c.item_index, step.c.id)


def failed_steps(conn: Connection, job_id: UUID) -> list[Row[Any]]:
    """Return (name, item_key, error) of a job's steps that have failed, in order."""
    failed = (step.c.job_id == job_id) & (step.c.status == StepStatus.FAILED)
    query = select(step.c.name, step.c.item_key, step.c.error).where(failed)
    return list(conn.execute(query.order_by(*_IN_ORDER)))


def list_steps(
    session: Session,
    job_id: UUID,
    *,
    after: UUID | None = None,
    limit: int | None = None,
    outputs: bool = True,
) -> list[Step]:
    """Return the plan of a job, in order: all of it, or what follows the step `after`.

    Without `outputs`, which may be large, those are not read, and may not be asked for. Raises
    StepNotFound for an `after` that is no step of the job, or no longer: it was resumed.
    """
    query = select(Step).where(Step.job_id == job_id).order_by(*_IN_ORDER).limit(limit)
    if after is not None:
        which = (step.c.job_id == job_id) & (step.c.id == after)
        last = session.connection().execute(select(*_IN_ORDER).where(which)).one_or_none()
        if last is None:
            raise StepNotFound()
        query = query.where(tuple_(*_IN_ORDER) > tuple_(*last))
    if not outputs:
        query = query.options(defer(Step.output, raiseload=True))  # type: ignore[arg-type]
    return list(session.exec(query))


def describe_step(row: Step, *, output: bool = True) -> StepPublic:
    """Return a step as its job's owner sees it."""
    made = {"item", "retry_at", "task_id", "flower_url"} | (set() if output else {"output"})
    return StepPublic(
        **{name: getattr(row, name) for name in StepPublic.model_fields if name not in made},
        item=row.item_key,
        task_id=task_id(row.id, row.generation),
        flower_url=flower_url(task_id(row.id, row.generation)),
        retry_at=row.ready_at if row.status == StepStatus.READY else None,
    )


def flower_url(task: UUID) -> str | None:
    """Return the address of Flower's page of a task; None where nobody has said where Flower is."""
    flower = settings.flower
    here = f"http://{flower.host}:{flower.port}" if settings.environment == "local" else ""
    base = flower.public_url.rstrip("/") or here
    return f"{base}/task/{task}" if base else None
