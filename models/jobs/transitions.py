"""Every way in which a step changes state, as compare-and-set statements.

    pending ──► ready ──► running ──► succeeded
                  ▲          ├──────► failed
                  ├──────────┤ retry, release (generation + 1)
                  └─ answer ─┴──────► waiting        any of the first four ──► cancelled

Each function runs inside its caller's transaction and locks the job's row before any step's row, so
transitions of one job are serial and cannot deadlock. A worker proves that it may still speak for a
step by the *epoch* it was given at the claim; a zombie matches no row and gets `Superseded`.
"""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, update

from models.base import seconds
from models.jobs.claims import Claim, Superseded
from models.jobs.dispatch import wake_dispatcher
from models.jobs.plan import (
    Expand,
    Json,
    NewStep,
    Opened,
    lock_job,
    log,
    mark_waiting,
    open_position,
    place,
    settle,
)
from models.jobs.tables import StepStatus, step

_settle_step = (
    update(step)
    .where(
        step.c.id == bindparam("b_step"),
        step.c.epoch == bindparam("b_epoch"),
        step.c.status == StepStatus.RUNNING,
    )
    .values(
        status=bindparam("b_status"),
        output=bindparam("b_output"),
        error=bindparam("b_error"),
        lease_until=None,
        idle_deadline=None,
        finished_at=func.now(),
    )
)


def complete(conn: Connection, held: Claim, output: Json, expand: Expand) -> list[Opened]:
    """Record the step's success and open what follows, however the plan goes on.

    Raises Superseded when the claim is no longer ours: the caller's transaction rolls back.
    """
    return _end(conn, held, StepStatus.SUCCEEDED, expand, output=output)


def fail(conn: Connection, held: Claim, error: Json, expand: Expand) -> list[Opened]:
    """Record that the step has failed for good. Raises Superseded."""
    return _end(conn, held, StepStatus.FAILED, expand, error=error)


def confirm_cancel(conn: Connection, held: Claim, expand: Expand) -> None:
    """Record that the running attempt has seen the request and stopped. Raises Superseded."""
    _end(conn, held, StepStatus.CANCELLED, expand)


def _end(
    conn: Connection,
    held: Claim,
    status: StepStatus,
    expand: Expand,
    *,
    output: Json | None = None,
    error: Json | None = None,
) -> list[Opened]:
    alone = held.chain is not None  # a step of a chain has no siblings to count
    done_part = (held.position + 1) / held.parts
    locked = lock_job(conn, held.job_id, progress=done_part if alone else 0)
    return _end_locked(conn, locked, held, status, expand, output=output, error=error)


def _end_locked(
    conn: Connection,
    locked: Row[Any] | None,
    held: Claim,
    status: StepStatus,
    expand: Expand,
    *,
    output: Json | None = None,
    error: Json | None = None,
) -> list[Opened]:
    values = {
        "b_step": held.step_id,
        "b_epoch": held.epoch,
        "b_status": status,
        "b_output": output,
        "b_error": error,
    }
    if locked is None or conn.execute(_settle_step, values).rowcount == 0:
        raise Superseded
    data: Json = place(held) | ({"error": error} if error else {})
    log(conn, held.job_id, locked.event_seq, f"step.{status}", data)
    on_its_way = status is StepStatus.SUCCEEDED and locked.cancel_requested_at is None
    if held.chain is not None and on_its_way:
        return open_position(conn, locked, held.job_id, held.position + 1, expand, held.chain)
    return settle(conn, locked, held.job_id, held.position, expand, held.chain)


def retry(
    conn: Connection, held: Claim, error: Json, *, delay_s: float, uncount: bool = False
) -> None:
    """Give the step back, to be run again after `delay_s` seconds. Raises Superseded.

    With `uncount` the attempt does not count: it was no failure of the step's.
    """
    locked = lock_job(conn, held.job_id)
    if _stops(conn, locked, held, error):
        return
    if locked is None or not _give_back(conn, held, delay_s=delay_s, error=error, uncount=uncount):
        raise Superseded
    data = place(held) | {"error": error, "attempt": held.attempt, "retry_in_s": round(delay_s, 3)}
    log(conn, held.job_id, locked.event_seq, "step.retrying", data)


def hand_over(conn: Connection, held: Claim) -> None:
    """Give the step back because this process is leaving; the attempt does not count.

    Raises Superseded.
    """
    locked = lock_job(conn, held.job_id)
    if _stops(conn, locked, held):
        return
    if locked is None or not _give_back(conn, held, delay_s=0, error=None, uncount=True):
        raise Superseded
    log(conn, held.job_id, locked.event_seq, "step.handed_over", place(held))
    wake_dispatcher(conn)


def _stops(
    conn: Connection, locked: Row[Any] | None, held: Claim, error: Json | None = None
) -> bool:
    """Cancel a step that would be given back, if its job is to stop: nobody could take it again."""
    if locked is None or locked.cancel_requested_at is None:
        return False
    _end_locked(conn, locked, held, StepStatus.CANCELLED, _nothing, error=error)
    return True


def _nothing(*_: object) -> list[NewStep]:
    return []  # a job that is to stop opens no further position


def _give_back(
    conn: Connection, held: Claim, *, delay_s: float, error: Json | None, uncount: bool
) -> bool:
    return (
        conn.execute(
            update(step)
            .where(
                step.c.id == held.step_id,
                step.c.epoch == held.epoch,
                step.c.status == StepStatus.RUNNING,
            )
            .values(
                status=StepStatus.READY,
                generation=step.c.generation + 1,
                attempt=step.c.attempt - (1 if uncount else 0),
                ready_at=func.now() + seconds(delay_s),
                published_at=None,
                lease_until=None,
                idle_deadline=None,
                error=error,
            )
        ).rowcount
        == 1
    )


def wait_for_answer(conn: Connection, held: Claim, question: Json) -> None:
    """End the attempt until a person has answered; it holds no worker. Raises Superseded."""
    locked = lock_job(conn, held.job_id)
    if _stops(conn, locked, held):
        return
    changed = conn.execute(
        update(step)
        .where(
            step.c.id == held.step_id,
            step.c.epoch == held.epoch,
            step.c.status == StepStatus.RUNNING,
        )
        .values(
            status=StepStatus.WAITING,
            question=question,
            attempt=step.c.attempt - 1,  # asking is no failure
            lease_until=None,
            idle_deadline=None,
        )
    )
    if locked is None or changed.rowcount == 0:
        raise Superseded
    log(conn, held.job_id, locked.event_seq, "step.waiting", place(held) | {"question": question})
    mark_waiting(conn, held.job_id, held.position)


def release(
    conn: Connection, held: Row[Any], error: Json, expand: Expand, *, counts: bool = True
) -> list[Opened]:
    """Take a running step away from an attempt that is presumed dead; `held` was read before.

    The step becomes ready under a new generation; when its attempts are used up it fails (a step
    that kills its worker ends too), unless this one does not count, as it only was in the way of a
    worker that had to leave; when the job is to be cancelled it is. Safe to repeat: an attempt that
    is no longer the one that was seen is left alone.
    """
    locked = lock_job(conn, held.job_id)
    if locked is None:
        return []
    left = held.max_attempts - held.attempt + (0 if counts else 1)
    status, kind = _fate(left, to_cancel=locked.cancel_requested_at is not None)
    log(conn, held.job_id, locked.event_seq, kind, place(held) | {"error": error})
    if not _take_away(conn, held, status, error, counts=counts):
        raise Superseded
    if status is StepStatus.READY:
        return [Opened(held.id, held.name, held.queue, held.generation + 1, in_chain=False)]
    return settle(conn, locked, held.job_id, held.position, expand, None)


def _fate(attempts_left: int, *, to_cancel: bool) -> tuple[StepStatus, str]:
    """Return what becomes of a step whose attempt is dead, and the event that says so."""
    if to_cancel:
        return StepStatus.CANCELLED, "step.cancelled"
    if attempts_left <= 0:
        return StepStatus.FAILED, "step.failed"
    return StepStatus.READY, "step.released"


def _take_away(
    conn: Connection, held: Row[Any], status: StepStatus, error: Json, *, counts: bool
) -> bool:
    taken = conn.execute(
        update(step)
        .where(
            step.c.id == held.id,
            step.c.epoch == held.epoch,
            step.c.status == StepStatus.RUNNING,
        )
        .values(
            status=status,
            generation=step.c.generation + 1,
            attempt=step.c.attempt - (0 if counts else 1),
            ready_at=None,
            published_at=None,
            lease_until=None,
            idle_deadline=None,
            error=error,
            finished_at=None if status is StepStatus.READY else func.now(),
        )
    )
    return taken.rowcount == 1
