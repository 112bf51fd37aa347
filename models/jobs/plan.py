"""The plan of a job: its step rows, and how it goes on from one position to the next.

Steps of one position run side by side. All functions run inside their caller's transaction with the
job's row locked, so the last sibling down is always known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, select, update

from models.base import new_id
from models.jobs.statements import OTHER_ACTIVE, counts_siblings
from models.jobs.tables import JobStatus, StepStatus, job, job_event, step

Json = dict[str, Any]

OPEN = (StepStatus.PENDING, StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING)
SUCCESS = (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_DEGRADED)


@dataclass(frozen=True, slots=True)
class NewStep:
    """A row of a plan that is to be inserted."""

    position: int
    name: str
    queue: str
    max_attempts: int
    optional: bool = False
    fan_out: bool = False
    chain: int | None = None
    item_key: str = ""
    item_index: int = 0
    status: StepStatus = StepStatus.PENDING
    output: Json | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A step that has become ready, and whether the running Celery chain brings it by itself."""

    step_id: UUID
    name: str
    queue: str
    generation: int
    in_chain: bool


# Returns the items of a fan-out as rows, given the job's id and the position to fill.
Expand = Callable[[Connection, UUID, int], list[NewStep]]


def step_values(job_id: UUID, row: NewStep, *, owner_id: UUID, priority: int) -> Json:
    """Return the column values of a new step row."""
    return {
        "id": new_id(),
        "job_id": job_id,
        "owner_id": owner_id,
        "position": row.position,
        "name": row.name,
        "item_key": row.item_key,
        "item_index": row.item_index,
        "optional": row.optional,
        "fan_out": row.fan_out,
        "chain": row.chain,
        "queue": row.queue,
        "priority": priority,
        "status": row.status,
        "generation": 1,
        "attempt": 0,
        "max_attempts": row.max_attempts,
        "epoch": 0,
        "output": row.output,
    }


_lock_job = (
    update(job)
    .where(job.c.id == bindparam("b_job"))
    .values(
        event_seq=job.c.event_seq + 1, progress=func.greatest(job.c.progress, bindparam("b_bar"))
    )
    .returning(
        job.c.event_seq, job.c.status, job.c.cancel_requested_at, job.c.error, job.c.parts,
        job.c.priority, job.c.owner_id,
    )
)  # fmt: skip

_open_steps = (
    update(step)
    .where(
        step.c.job_id == bindparam("b_job"),
        step.c.position == bindparam("b_position"),
        step.c.status == StepStatus.PENDING,
    )
    .values(
        status=StepStatus.READY,
        published_at=case((step.c.chain == bindparam("b_chain"), func.now())),
    )
    .returning(
        step.c.id, step.c.name, step.c.queue, step.c.generation, step.c.fan_out, step.c.chain
    )
)

_log = insert(job_event)
_siblings = (
    select(step.c.status, step.c.optional, func.count())
    .where(step.c.job_id == bindparam("b_job"), step.c.position == bindparam("b_position"))
    .group_by(step.c.status, step.c.optional)
)


def lock_job(conn: Connection, job_id: UUID, *, progress: float = 0) -> Row[Any] | None:
    """Lock the job's row and reserve its next event number. None when the job is gone.

    The job's bar moves up to `progress` (0..1), never down.
    """
    return conn.execute(_lock_job, {"b_job": job_id, "b_bar": progress}).one_or_none()


def log(conn: Connection, job_id: UUID, seq: int, kind: str, data: Json) -> None:
    """Write event `seq`, a number that the lock on the job's row has reserved."""
    conn.execute(_log, {"job_id": job_id, "seq": seq, "type": kind, "data": data})


def mark_waiting(conn: Connection, job_id: UUID, position: int) -> None:
    """Call the job `waiting` if nothing of it can go on without a person."""
    if not _is_active(conn, job_id, position):
        running = (job.c.id == job_id) & (job.c.status == JobStatus.RUNNING)
        conn.execute(update(job).where(running).values(status=JobStatus.WAITING))


def _is_active(conn: Connection, job_id: UUID, position: int) -> bool:
    which = {"job": job_id, "position": position, "step": None}
    return conn.execute(OTHER_ACTIVE, which).first() is not None


def settle(
    conn: Connection,
    locked: Row[Any],
    job_id: UUID,
    position: int,
    expand: Expand,
    chain: int | None,
) -> list[Opened]:
    """Go on from a position of which a step has just ended; the job's row is locked.

    Opens the next position when the last sibling is down; ends the job when there is none, a step
    has failed for good or the job is to be cancelled.
    """
    if not counts_siblings(locked.event_seq) and _is_active(conn, job_id, position):
        return []
    rows = conn.execute(_siblings, {"b_job": job_id, "b_position": position}).all()
    counts = {status: sum(n for s, _, n in rows if s == status) for status in StepStatus}
    total, still_open = sum(counts.values()), sum(counts[status] for status in OPEN)
    if still_open:
        _move_bar(conn, job_id, (position + (total - still_open) / total) / locked.parts)
        mark_waiting(conn, job_id, position)
        return []
    if locked.cancel_requested_at is not None or counts[StepStatus.CANCELLED]:
        finish_stopped(conn, job_id, locked.error)
        return []
    fatal = any(s == StepStatus.FAILED and not optional for s, optional, _ in rows)
    if fatal or counts[StepStatus.FAILED] == total:
        finish(conn, job_id, JobStatus.FAILED, _first_error(conn, job_id, position))
        return []
    return open_position(conn, locked, job_id, position + 1, expand, chain)


def open_position(
    conn: Connection,
    locked: Row[Any],
    job_id: UUID,
    position: int,
    expand: Expand,
    chain: int | None,
) -> list[Opened]:
    """Make the steps of a position ready, or end the job when there is no such position.

    Steps of the Celery chain `chain` are marked as published: that chain brings them. A position
    whose steps have all succeeded, before the job was resumed, is passed over.
    """
    if position >= locked.parts:
        finish(conn, job_id, _success(conn, locked, job_id), None)
        return []
    rows = conn.execute(
        _open_steps, {"b_job": job_id, "b_position": position, "b_chain": chain}
    ).all()
    if not rows:
        return open_position(conn, locked, job_id, position + 1, expand, None)
    if len(rows) == 1 and rows[0].fan_out:
        conn.execute(delete(step).where(step.c.id == rows[0].id))
        if items := expand(conn, job_id, position):
            return _insert_items(conn, locked, job_id, items)
        return open_position(conn, locked, job_id, position + 1, expand, None)
    return [
        Opened(r.id, r.name, r.queue, r.generation, chain is not None and r.chain == chain)
        for r in rows
    ]


def _success(conn: Connection, locked: Row[Any], job_id: UUID) -> JobStatus:
    degraded = locked.parts > 1 and _any_failed(conn, job_id)
    return JobStatus.SUCCEEDED_DEGRADED if degraded else JobStatus.SUCCEEDED


def _insert_items(
    conn: Connection, locked: Row[Any], job_id: UUID, items: list[NewStep]
) -> list[Opened]:
    owner_id, priority = locked.owner_id, locked.priority
    values = [step_values(job_id, item, owner_id=owner_id, priority=priority) for item in items]
    conn.execute(insert(step), values)
    return [Opened(v["id"], v["name"], v["queue"], 1, in_chain=False) for v in values]


def finish(conn: Connection, job_id: UUID, status: JobStatus, error: Json | None) -> None:
    """End the job; steps that have not begun are cancelled with it."""
    ended = conn.execute(
        update(job)
        .where(job.c.id == job_id, job.c.finished_at.is_(None))
        .values(
            status=status,
            error=error,
            finished_at=func.clock_timestamp(),
            event_seq=job.c.event_seq + 1,
            progress=1.0 if status in SUCCESS else job.c.progress,
        )
        .returning(job.c.event_seq)
    ).scalar_one_or_none()
    if ended is None:
        return
    log(
        conn,
        job_id,
        ended,
        f"job.{status}",
        {"status": status} | ({"error": error} if error else {}),
    )


def finish_stopped(conn: Connection, job_id: UUID, error: Json | None) -> None:
    """End a job that was asked to stop: cancelled, or failed when a reason was recorded."""
    finish(conn, job_id, JobStatus.FAILED if error else JobStatus.CANCELLED, error)


def place(row: Any) -> Json:
    """Return where in the plan a step's row or claim stands, as events tell it."""
    return {"step": row.name} | ({"item": row.item_key} if row.item_key else {})


def _move_bar(conn: Connection, job_id: UUID, progress: float) -> None:
    conn.execute(update(job).where(job.c.id == job_id).values(progress=progress))


def _any_failed(conn: Connection, job_id: UUID) -> bool:
    failed = select(step.c.id).where(step.c.job_id == job_id, step.c.status == StepStatus.FAILED)
    return conn.execute(failed.limit(1)).first() is not None


def _first_error(conn: Connection, job_id: UUID, position: int) -> Json:
    row = conn.execute(
        select(step.c.name, step.c.item_key, step.c.error)
        .where(
            step.c.job_id == job_id,
            step.c.position == position,
            step.c.status == StepStatus.FAILED,
        )
        .order_by(step.c.optional, step.c.item_index)
        .limit(1)
    ).one()
    return {**row.error, **place(row)}
