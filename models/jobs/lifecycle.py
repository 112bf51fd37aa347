"""What people do to a job: start it, stop it, take it up again, answer it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, DateTime, Integer, String, Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import make_transient_to_detached

from models.base import one_statement
from models.errors import Conflict, NotFound
from models.jobs.plan import (
    Expand,
    Json,
    NewStep,
    Opened,
    finish_stopped,
    lock_job,
    log,
    open_position,
    place,
    step_values,
)
from models.jobs.tables import TERMINAL, Job, JobStatus, StepStatus, job, step


class NotResumable(Conflict):
    """Only a failed or cancelled job can be resumed."""

    code = "not_resumable"


class NotWaiting(Conflict):
    """This step is not waiting for an answer."""

    code = "not_waiting"


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be inserted."""

    pipeline: str
    fingerprint: str
    owner_id: UUID
    input: Json
    parts: int
    fused: bool = False
    priority: int = 0
    public_id: str | None = None
    deadline_at: datetime | None = None
    parent_id: UUID | None = None
    forked_from: UUID | None = None
    traceparent: str | None = None
    concurrency_key: str | None = None  # with one, the job is held until it gets a place
    concurrency_limit: int | None = None


_STEP = (
    "id, job_id, owner_id, position, name, item_key, item_index, optional, fan_out, chain, queue, "
    "priority, status, generation, attempt, max_attempts, epoch, output, published_at"
)
_insert_job = one_statement(
    f"""
WITH new AS (
    INSERT INTO job (
        id, pipeline, fingerprint, owner_id, input, parts, fused, priority, public_id, deadline_at,
        parent_id, forked_from, traceparent, concurrency_key, concurrency_limit, created_at, status,
        event_seq, progress
    ) VALUES (
        :id, :pipeline, :fingerprint, :owner_id, :input, :parts, :fused, :priority, :public_id,
        :deadline_at, :parent_id, :forked_from, :traceparent, :concurrency_key, :concurrency_limit,
        :created_at, 'queued', 1, 0
    )
), plan AS (
    INSERT INTO step ({_STEP})
    SELECT {_STEP} FROM jsonb_populate_recordset(NULL::step, :steps)
)
INSERT INTO job_event (job_id, seq, type, data)
VALUES (:id, 1, 'job.queued', jsonb_build_object('pipeline', :pipeline, 'status', 'queued'))
""",  # noqa: S608 — the columns are ours
    bindparam("id", type_=Uuid()),
    bindparam("pipeline", type_=String()),
    bindparam("owner_id", type_=Uuid()),
    bindparam("input", type_=JSONB()),
    bindparam("deadline_at", type_=DateTime(timezone=True)),
    bindparam("created_at", type_=DateTime(timezone=True)),
    bindparam("parent_id", type_=Uuid()),
    bindparam("forked_from", type_=Uuid()),
    bindparam("traceparent", type_=String()),
    bindparam("concurrency_key", type_=String()),
    bindparam("concurrency_limit", type_=Integer()),
    bindparam("steps", type_=JSONB()),
)


def insert_job(
    conn: Connection, new: NewJob, steps: Sequence[NewStep], *, published: bool = False
) -> tuple[Job, list[Json]]:
    """Insert a job with its plan and its first event; return it and the values of its step rows.

    With `published` its ready steps are marked so: the caller sends their hints.
    A job with a concurrency key has none: it waits for a place, which the dispatcher gives.
    The job is as a session would have loaded it, but in none.
    """
    values = {name: getattr(new, name) for name in NewJob.__slots__}
    made = Job(**values, status=JobStatus.QUEUED, event_seq=1)
    of_job: Json = {"owner_id": new.owner_id, "priority": new.priority}
    rows = [step_values(made.id, row, **of_job) for row in steps]
    if new.concurrency_key:
        rows = [row | {"status": _held(row["status"])} for row in rows]
    at = made.created_at.isoformat()
    told = [
        row
        | {"id": str(row["id"]), "job_id": str(made.id), "owner_id": str(new.owner_id)}
        | ({"published_at": at} if published and row["status"] is StepStatus.READY else {})
        for row in rows
    ]
    more = {"id": made.id, "created_at": made.created_at, "steps": told}
    conn.execute(_insert_job, values | more)
    make_transient_to_detached(made)
    return made, rows


def _held(status: StepStatus) -> StepStatus:
    return StepStatus.PENDING if status is StepStatus.READY else status


def open_first(conn: Connection, job_id: UUID, position: int, expand: Expand) -> list[UUID]:
    """Make the steps of a new job's first fresh position ready; return their ids."""
    locked = lock_job(conn, job_id, progress=0)
    assert locked is not None
    _unreserve(conn, job_id)
    opened = open_position(conn, locked, job_id, position, expand, None)
    return [one.step_id for one in opened]


def request_cancel(conn: Connection, job_id: UUID, *, error: Json | None = None) -> JobStatus:
    """Ask a job to stop. Running steps confirm at their next safe point. Safe to repeat.

    With an `error` (a deadline, say) the job will end as failed with it, else as cancelled.
    Returns the job's status afterwards; a finished job keeps its own. Raises NotFound.
    """
    locked = lock_job(conn, job_id)
    if locked is None:
        raise NotFound("There is no such job.")
    if locked.status in TERMINAL or locked.cancel_requested_at is not None:
        _unreserve(conn, job_id)
        return JobStatus(locked.status)
    still_running = _cancel_steps(conn, job_id)
    conn.execute(
        update(job)
        .where(job.c.id == job_id)
        .values(status=JobStatus.CANCELLING, cancel_requested_at=func.now(), error=error)
    )
    log(conn, job_id, locked.event_seq, "job.cancelling", {"status": JobStatus.CANCELLING})
    if still_running:
        return JobStatus.CANCELLING
    finish_stopped(conn, job_id, error)
    return JobStatus.FAILED if error else JobStatus.CANCELLED


def _cancel_steps(conn: Connection, job_id: UUID) -> bool:
    """Cancel the steps that do not run; say whether others do."""
    conn.execute(
        update(step)
        .where(
            step.c.job_id == job_id,
            step.c.status.in_((StepStatus.PENDING, StepStatus.READY, StepStatus.WAITING)),
        )
        .values(status=StepStatus.CANCELLED, finished_at=func.now())
    )
    running = select(step.c.id).where(step.c.job_id == job_id, step.c.status == StepStatus.RUNNING)
    return conn.execute(running.limit(1)).first() is not None


def resume(conn: Connection, job_id: UUID, expand: Expand) -> list[Opened]:
    """Let a failed or cancelled job go on from the steps or items that did not succeed.

    Attempts are counted anew. Returns the steps that became ready; a job with a concurrency key is
    held again instead. Raises NotFound, NotResumable.
    """
    locked = lock_job(conn, job_id)
    if locked is None:
        raise NotFound("There is no such job.")
    if locked.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise NotResumable(status=locked.status)
    at = _begin_anew(conn, job_id)
    if at is None:
        raise NotResumable("Every step of this job has succeeded.", status=locked.status)
    held = conn.execute(_requeue.where(job.c.id == job_id)).scalar_one() is not None
    log(conn, job_id, locked.event_seq, "job.resumed", {"status": JobStatus.QUEUED})
    return [] if held else open_position(conn, locked, job_id, at, expand, None)


_undone = step.c.status.in_((StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.PENDING))
_requeue = (
    update(job)
    .values(
        status=JobStatus.QUEUED,
        error=None,
        cancel_requested_at=None,
        finished_at=None,
        deadline_at=None,
        admitted_at=None,
    )
    .returning(job.c.concurrency_key)
)


def _begin_anew(conn: Connection, job_id: UUID) -> int | None:
    """Make pending what did not succeed; return the first position of it, None if there is none."""
    reset = (
        update(step)
        .where(step.c.job_id == job_id, _undone)
        .values(
            status=StepStatus.PENDING,
            generation=step.c.generation + 1,
            attempt=0,
            ready_at=None,
            published_at=None,
            finished_at=None,
            error=None,
        )
    )
    return min(conn.execute(reset.returning(step.c.position)).scalars(), default=None)


def answer_step(conn: Connection, job_id: UUID, name: str, item: str, value: Any) -> UUID:
    """Give a waiting step its answer and make it ready. Raises NotFound, NotWaiting."""
    locked = lock_job(conn, job_id)
    if locked is None:
        raise NotFound("There is no such job.")
    row = conn.execute(
        update(step)
        .where(
            step.c.job_id == job_id,
            step.c.name == name,
            step.c.item_key == item,
            step.c.status == StepStatus.WAITING,
        )
        .values(
            status=StepStatus.READY,
            generation=step.c.generation + 1,
            answer={"value": value},
            published_at=None,
            ready_at=None,
        )
        .returning(step.c.id, step.c.name, step.c.item_key)
    ).one_or_none()
    if row is None:
        raise NotWaiting(step=name)
    conn.execute(update(job).where(job.c.id == job_id).values(status=JobStatus.RUNNING))
    log(conn, job_id, locked.event_seq, "step.answered", place(row))
    return UUID(str(row.id))


def _unreserve(conn: Connection, job_id: UUID) -> None:
    """Give back the event number that the lock has reserved, so that numbers stay dense."""
    conn.execute(update(job).where(job.c.id == job_id).values(event_seq=job.c.event_seq - 1))
