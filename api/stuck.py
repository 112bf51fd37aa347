"""Which jobs do not move, and why, as far as Postgres and the declarations tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Row

from config.settings import settings
from models.base import now
from models.jobs import dispatch, nodes, operating
from pipelines import REGISTRY


@dataclass(frozen=True, slots=True)
class Stuck:
    """A step, or a whole job, that has not moved since a moment."""

    job_id: UUID
    pipeline: str
    step: str
    since: datetime
    why: str


def find_stuck(conn: Connection, *, silent_s: float) -> list[Stuck]:
    """Return what has not moved for longer than `silent_s` seconds, by age within its kind."""
    live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
    running = dispatch.running_counts(conn)
    waiting = operating.unclaimed_steps(conn, for_s=silent_s)
    return [
        *_silent(operating.running_steps(conn), live, silent_s),
        *(_of_step(row, row.since, _why_unclaimed(row, live, running)) for row in waiting),
        *(
            Stuck(row.id, row.pipeline, "", row.since, f"{row.status}, and no step of it can go on")
            for row in operating.lost_jobs(conn, for_s=silent_s)
        ),
    ]


def _silent(rows: list[Row[Any]], live: list[Row[Any]], silent_s: float) -> Iterator[Stuck]:
    alive = {node.id: node for node in live}
    for row in rows:
        heard = _last_heard(row)
        if heard > now() - timedelta(seconds=silent_s):
            continue
        if row.node not in alive:
            why = "its worker does not beat; the dispatcher takes the step back"
        elif alive[row.node].draining:
            why = f"its worker on {alive[row.node].hostname} is leaving, and waits for it"
        else:
            worker = f"{alive[row.node].hostname}, pid {alive[row.node].pid}"
            why = f"no progress in attempt {row.attempt} on {worker}"
        yield _of_step(row, heard, why)


def _last_heard(row: Row[Any]) -> datetime:
    """Return when a running step last gave a sign of life: its idle deadline moves with each."""
    allowed = settings.engine.idle_s
    pipeline = REGISTRY.get(row.pipeline)
    if pipeline and (spec := pipeline.steps.get(row.name)):
        allowed = spec.options.idle_s or allowed
    if row.idle_deadline is None:
        return cast(datetime, row.since)
    return cast(datetime, row.idle_deadline) - timedelta(seconds=allowed)


def _why_unclaimed(row: Row[Any], live: list[Row[Any]], running: dict[str, int]) -> str:
    serving = [node for node in live if row.queue in node.slots and not node.draining]
    if not serving:
        return f"no live worker serves the queue {row.queue}"
    if not any(node.fingerprints.get(row.pipeline) == row.fingerprint for node in serving):
        return f"no live worker of {row.queue} knows this version of the pipeline"
    slots = nodes.slots(serving)[row.queue]
    if running.get(row.queue, 0) >= slots:
        return f"all {slots} slots of {row.queue} are taken"
    if row.published_at is not None:
        return "its hint is on the way, and nobody took it: does the broker deliver?"
    return "due, and not published: does a dispatcher lead, does the broker take hints?"


def _of_step(row: Row[Any], since: datetime, why: str) -> Stuck:
    name = f"{row.name}[{row.item_key}]" if row.item_key else row.name
    return Stuck(row.job_id, row.pipeline, name, since, why)
