"""What the dispatcher asks: how much room there is, which hints were lost, whose worker is dead."""

import random
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, any_, case, func, select, tuple_, update

from config.settings import settings
from models.base import fixed, seconds
from models.jobs import turns
from models.jobs.tables import StepStatus, job, step

WAKE_CHANNEL = "longrun_due"


_READY, _RUNNING = fixed(StepStatus.READY), fixed(StepStatus.RUNNING)
_published = (step.c.status == _READY) & step.c.published_at.is_not(None)


def room(conn: Connection, limits: Mapping[str, int]) -> dict[str, int]:
    """Return how many more hints may be on their way, by queue; none where steps wait for turns."""
    if settings.engine.owner_steps:
        return {}  # it takes a look at the owner's others
    rows = conn.execute(select(step.c.queue, func.count()).where(_published).group_by("queue"))
    counts = {row[0]: row[1] for row in rows}
    waiting = turns.queues_with_turns(conn, list(limits))
    return {name: limits[name] - counts.get(name, 0) for name in limits if name not in waiting}


def unpublish(conn: Connection, step_ids: Sequence[UUID]) -> None:
    """Take the mark back: the broker did not take the hint."""
    conn.execute(
        update(step)
        .where(_unlocked(step.c.id.in_(step_ids), step.c.status == _READY))
        .values(published_at=None)
    )


def _unlocked(*those: Any) -> Any:
    """Leave out rows that a transition of their job holds: it locks many, and in its own order."""
    others = select(step.c.id).where(*those).correlate(None).with_for_update(skip_locked=True)
    return step.c.id == any_(func.array(others.scalar_subquery()))


def forget_lost_hints(
    conn: Connection, queues: Sequence[str], older_than_s: float, *, again_s: float
) -> int:
    """Make steps due again whose hint nobody took although its queue has free slots.

    Those that somebody has had before after `again_s` already: a host that is cut off may be handed
    a hint by the broker, which does not know yet, but no second one.
    The generation moves on, so that a hint that turns up late after all is void.
    """
    wait_s = case((step.c.epoch > 0, again_s), else_=older_than_s)
    return conn.execute(
        update(step)
        .where(
            _unlocked(
                _published,
                step.c.queue.in_(queues),
                step.c.published_at < func.clock_timestamp() - seconds(wait_s),
            )
        )
        .values(published_at=None, generation=step.c.generation + 1)
    ).rowcount


def put_back(conn: Connection, step_id: UUID, *, unless_fingerprint: str, delay_s: float) -> None:
    """Leave a ready step of another version of its pipeline to a worker that knows it.

    After about `delay_s`: brokers serve workers in turn, and in step with them two versions' steps
    would meet the wrong ones forever.
    """
    wait_s = delay_s * random.uniform(0.5, 1.5)  # noqa: S311 — jitter, no secret
    conn.execute(
        update(step)
        .where(
            step.c.id == step_id,
            step.c.status == _READY,
            step.c.job_id == job.c.id,
            job.c.fingerprint != unless_fingerprint,
        )
        .values(
            published_at=None,
            generation=step.c.generation + 1,
            ready_at=func.clock_timestamp() + seconds(wait_s),
        )
    )


def hand_back(conn: Connection, step_id: UUID, generation: int) -> None:
    """Make a step due again whose hint is in the hands of a worker that takes nothing any more."""
    conn.execute(
        update(step)
        .where(_published, step.c.id == step_id, step.c.generation == generation)
        .values(published_at=None, generation=generation + 1)
    )
    wake_dispatcher(conn)


def wake_dispatcher(conn: Connection) -> None:
    """Have the leading dispatcher look at once, when this transaction is committed."""
    conn.execute(select(func.pg_notify(WAKE_CHANNEL, "")))


def running_counts(conn: Connection) -> dict[str, int]:
    """Return how many steps run, by queue."""
    rows = conn.execute(
        select(step.c.queue, func.count()).where(step.c.status == _RUNNING).group_by(step.c.queue)
    )
    return {row[0]: row[1] for row in rows}


def steps_of_node(conn: Connection, node_id: UUID, *, job_id: UUID | None = None) -> list[Row[Any]]:
    """Return the running steps that a node holds, of one job or of all."""
    which: Any = (step.c.node == node_id) & (step.c.status == _RUNNING)
    if job_id is not None:
        which &= step.c.job_id == job_id
    return list(conn.execute(select(step).where(which)))


def abandoned_steps(conn: Connection) -> list[Row[Any]]:
    """Return running steps whose lease has ended.

    That their node is unknown proves nothing: one that was buried while it was frozen takes steps
    before it beats again.
    """
    return list(
        conn.execute(
            select(step).where(
                step.c.status == _RUNNING, step.c.lease_until < func.clock_timestamp()
            )
        )
    )


def idle_steps(conn: Connection) -> list[Row[Any]]:
    """Return running steps that have shown no progress for longer than they may."""
    return list(
        conn.execute(
            select(step).where(
                step.c.status == _RUNNING,
                step.c.idle_deadline < func.clock_timestamp(),
            )
        )
    )


def overdue_jobs(conn: Connection) -> list[UUID]:
    """Return the unfinished jobs past their deadline that nobody has asked to stop."""
    return list(
        conn.execute(
            select(job.c.id).where(
                job.c.finished_at.is_(None),
                job.c.deadline_at < func.now(),  # volatile times find nothing by an index
                job.c.cancel_requested_at.is_(None),
            )
        ).scalars()
    )


def unknown_jobs(conn: Connection, known: set[tuple[str, str]]) -> list[Any]:
    """Return unfinished jobs (id, pipeline, fingerprint) of versions that are not `known`.

    Those with a running step are left out: whoever runs it knows them.
    """
    active = select(step.c.id).where(step.c.job_id == job.c.id, step.c.status == _RUNNING)
    rows = conn.execute(
        select(job.c.id, job.c.pipeline, job.c.fingerprint).where(
            job.c.finished_at.is_(None),
            tuple_(job.c.pipeline, job.c.fingerprint).not_in(list(known)),
            ~active.exists(),
        )
    )
    return list(rows)


def forget_hints_of_node(conn: Connection, node_id: UUID) -> None:
    """Make steps due again whose hint a dead node may have had in hand: those of its jobs."""
    before = step.alias()
    handled = select(before.c.id).where(
        before.c.job_id == step.c.job_id,
        before.c.node == node_id,
        before.c.finished_at > func.clock_timestamp() - seconds(60),
    )
    conn.execute(
        update(step)
        .where(_unlocked(_published, handled.correlate(step).exists()))
        .values(published_at=None, generation=step.c.generation + 1)
    )


def version_of(conn: Connection, job_id: UUID) -> tuple[str, str]:
    """Return the name and the fingerprint of a job's pipeline."""
    row = conn.execute(select(job.c.pipeline, job.c.fingerprint).where(job.c.id == job_id)).one()
    return row.pipeline, row.fingerprint
