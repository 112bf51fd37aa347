"""What a running attempt tells and asks: progress, liveness, checkpoints, earlier outputs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from models.base import seconds
from models.jobs.claims import Claim, Superseded, Taker
from models.jobs.plan import Json, place
from models.jobs.statements import PROGRESS
from models.jobs.tables import StepStatus, job, step


def _mine(held: Claim) -> Any:
    return (
        (step.c.id == held.step_id)
        & (step.c.epoch == held.epoch)
        & (step.c.status == StepStatus.RUNNING)
    )


def report_progress(
    conn: Connection, held: Claim, done: float, total: float, message: str, *, idle_s: float
) -> bool:
    """Record how far the step is, move its idle deadline, and say whether it should stop.

    Moves the job's bar when the step has its position to itself. Raises Superseded.
    """
    fraction = min(1.0, done / total) if total > 0 else 0.0
    alone = held.chain is not None
    bar = (held.position + fraction) / held.parts if alone else 0.0
    told: Json = {"done": done, "total": total, "message": message}
    where = {"job": held.job_id, "step": held.step_id, "epoch": held.epoch, "place": place(held)}
    stop: bool | None = conn.execute(
        PROGRESS, where | {"told": told, "bar": bar, "idle_s": idle_s}
    ).scalar_one_or_none()
    if stop is None:
        raise Superseded
    return stop


def should_stop(conn: Connection, held: Claim, *, idle_s: float) -> bool:
    """Say whether the job is to be cancelled, and move the idle deadline. Raises Superseded."""
    row = conn.execute(
        update(step)
        .where(_mine(held), step.c.job_id == job.c.id)
        .values(idle_deadline=func.clock_timestamp() + seconds(idle_s))
        .returning(job.c.cancel_requested_at)
    ).one_or_none()
    if row is None:
        raise Superseded
    return row.cancel_requested_at is not None


def save_checkpoint(conn: Connection, held: Claim, state: Json) -> None:
    """Keep a step's small state for its next attempt. Raises Superseded."""
    if conn.execute(update(step).where(_mine(held)).values(checkpoint=state)).rowcount == 0:
        raise Superseded


def load_outputs(conn: Connection, job_id: UUID, names: Sequence[str]) -> list[Row[Any]]:
    """Return (name, item_key, output) of the named steps that succeeded, in item order."""
    return list(
        conn.execute(
            select(step.c.name, step.c.item_key, step.c.output)
            .where(
                step.c.job_id == job_id,
                step.c.name.in_(names),
                step.c.status == StepStatus.SUCCEEDED,
            )
            .order_by(step.c.position, step.c.item_index)
        )
    )


def step_state(conn: Connection, step_id: UUID) -> Any | None:
    """Return (status, epoch, generation, node) of a step as it is now."""
    return conn.execute(
        select(step.c.status, step.c.epoch, step.c.generation, step.c.node).where(
            step.c.id == step_id
        )
    ).one_or_none()


def held_step(conn: Connection, step_id: UUID, taker: Taker) -> Row[Any] | None:
    """Return a running step as it is now, if this process is who has taken it."""
    mine = (step.c.id == step_id) & (step.c.node == taker.node) & (step.c.pid == taker.pid)
    return conn.execute(select(step).where(mine, step.c.status == StepStatus.RUNNING)).one_or_none()


def spans(conn: Connection, job_id: UUID) -> list[Row[Any]]:
    """Return (name, started_at, finished_at) of a job's steps so far, all items of one together."""
    query = select(
        step.c.name,
        func.min(step.c.started_at).label("started_at"),
        func.max(step.c.finished_at).label("finished_at"),
    ).where(step.c.job_id == job_id, step.c.finished_at.is_not(None))
    return list(conn.execute(query.group_by(step.c.name)))


def succeeded_before(conn: Connection, job_id: UUID, position: int) -> list[Row[Any]]:
    """Return (name, item_key, item_index, output) of what succeeded before a position."""
    return list(
        conn.execute(
            select(step.c.name, step.c.item_key, step.c.item_index, step.c.output)
            .where(
                step.c.job_id == job_id,
                step.c.position < position,
                step.c.status == StepStatus.SUCCEEDED,
            )
            .order_by(step.c.position, step.c.item_index)
        )
    )


def undone_before(conn: Connection, job_id: UUID, position: int) -> list[str]:
    """Return the names of the steps before a position that a job has not done, nor gone without."""
    given_up = step.c.optional & (step.c.status == StepStatus.FAILED)
    query = select(step.c.name).where(
        step.c.job_id == job_id,
        step.c.position < position,
        step.c.status != StepStatus.SUCCEEDED,
        ~given_up,
    )
    return list(conn.execute(query.distinct().order_by(step.c.name)).scalars())


def load_input(conn: Connection, job_id: UUID) -> Json:
    """Return a job's input as it is stored."""
    stored: Json = conn.execute(select(job.c.input).where(job.c.id == job_id)).scalar_one()
    return stored
