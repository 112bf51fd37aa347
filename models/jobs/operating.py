"""What operators ask about jobs and workers: what does not move, and who holds what."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from models.base import seconds
from models.jobs.bookkeeping import node
from models.jobs.tables import JobStatus, StepStatus, job, job_event, step

LISTED = 200  # rows of one question: what a person can read

_last_event = (
    select(job_event.c.at)
    .where(job_event.c.job_id == job.c.id, job_event.c.seq == job.c.event_seq)
    .scalar_subquery()
)


def ready_since() -> ColumnElement[Any]:
    """Return since when a ready step may run, for a query over `step` and `job`.

    No column says so: it is when the job was made, else its hint was sent, else its log moved.
    """
    first = case((job.c.started_at.is_(None), job.c.created_at))
    return func.greatest(step.c.ready_at, func.coalesce(first, step.c.published_at, _last_event))


def unclaimed_steps(conn: Connection, *, for_s: float) -> list[Row[Any]]:
    """Return steps that might have run for longer than `for_s` seconds; the oldest first."""
    since = ready_since().label("since")
    return list(
        conn.execute(
            _steps(since)
            .where(
                step.c.status == StepStatus.READY,
                ready_since() < func.clock_timestamp() - seconds(for_s),
            )
            .order_by(since)
            .limit(LISTED)
        )
    )


def running_steps(conn: Connection) -> list[Row[Any]]:
    """Return all steps that run, the longest-running first."""
    return list(
        conn.execute(
            _steps(step.c.started_at.label("since"))
            .where(step.c.status == StepStatus.RUNNING)
            .order_by("since")
        )
    )


def lost_jobs(conn: Connection, *, for_s: float) -> list[Row[Any]]:
    """Return jobs (id, pipeline, status, since) that have not ended and have nothing to go on with.

    Nothing of them is ready, runs, or waits for a person or a place, and their log is older than
    `for_s`.
    """
    alive = select(step.c.id).where(
        step.c.job_id == job.c.id,
        step.c.status.in_((StepStatus.READY, StepStatus.RUNNING, StepStatus.WAITING)),
    )
    since = func.coalesce(_last_event, job.c.created_at)
    return list(
        conn.execute(
            select(job.c.id, job.c.pipeline, job.c.status, since.label("since"))
            .where(
                job.c.finished_at.is_(None),
                job.c.status != JobStatus.WAITING,
                ~alive.exists(),
                job.c.concurrency_key.is_(None) | job.c.admitted_at.is_not(None),
                since < func.clock_timestamp() - seconds(for_s),
            )
            .order_by("since")
            .limit(LISTED)
        )
    )


def nodes_called(conn: Connection, name: str) -> list[Row[Any]]:
    """Return the nodes with this id, or all nodes of the host with this name."""
    try:
        which: ColumnElement[bool] = node.c.id == UUID(name)
    except ValueError:
        which = node.c.hostname == name
    return list(conn.execute(select(node).where(which)))


def all_nodes(conn: Connection) -> list[Row[Any]]:
    """Return every node that has not left, with `held`: how many steps it runs."""
    held = (
        select(func.count())
        .where(step.c.node == node.c.id, step.c.status == StepStatus.RUNNING)
        .scalar_subquery()
    )
    silent = func.extract("epoch", func.clock_timestamp() - node.c.beat_at)
    query = select(node, held.label("held"), silent.label("silent_s"))
    return list(conn.execute(query.order_by(node.c.hostname, node.c.started_at)))


def versions_in_flight(conn: Connection) -> list[Row[Any]]:
    """Return (pipeline, fingerprint, jobs) of the jobs that have not ended, by version."""
    query = select(job.c.pipeline, job.c.fingerprint, func.count().label("jobs"))
    return list(
        conn.execute(
            query.where(job.c.finished_at.is_(None))
            .group_by(job.c.pipeline, job.c.fingerprint)
            .order_by(job.c.pipeline, job.c.fingerprint)
        ).all()
    )


def held_by(conn: Connection, node_ids: Sequence[UUID]) -> int:
    """Return how many steps these nodes run."""
    query = select(func.count()).where(
        step.c.node.in_(node_ids), step.c.status == StepStatus.RUNNING
    )
    return int(conn.execute(query).scalar_one())


def _steps(since: Any) -> Any:
    return select(
        step.c.job_id, step.c.name, step.c.item_key, step.c.queue, step.c.published_at,
        step.c.node, step.c.lease_until, step.c.idle_deadline, step.c.attempt,
        job.c.pipeline, job.c.fingerprint, since,
    ).select_from(step.join(job, step.c.job_id == job.c.id))  # fmt: skip
