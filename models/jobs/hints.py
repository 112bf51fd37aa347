"""Hints: which steps are published next, and what a Celery message says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, Integer, Row, String, Uuid, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from models.base import one_statement
from models.jobs import turns
from models.jobs.plan import Json
from models.jobs.tables import StepStatus


@dataclass(frozen=True, slots=True)
class Hint:
    """What a Celery message says: look at this step, in this generation."""

    job_id: UUID
    step_id: UUID
    pipeline: str
    name: str
    item_key: str
    queue: str
    generation: int
    priority: int
    then: list["Hint"] = field(default_factory=list)  # the rest of its chain


def task_id(step_id: UUID, generation: int) -> UUID:
    """Return the id of the Celery task that is a step's hint, in one of its generations."""
    return uuid5(step_id, str(generation))


def take_due(conn: Connection, queue: str, limit: int, *, at_least: int = 1) -> list[Hint]:
    """Mark due steps of a queue as published, until `limit` hints are on their way; return them.

    In the order of `turns`. Steps that somebody else is marking are passed over. Nothing is marked
    where there is room for fewer than `at_least`: choosing many costs as much as choosing one.
    """
    free = limit - _on_their_way(conn, queue, limit)
    if free < at_least:
        return []
    chosen = turns.choose(conn, queue, free)
    return _mark(conn, chosen) if chosen else []


def take(conn: Connection, step_ids: Sequence[UUID], limits: Mapping[str, int]) -> list[Hint]:
    """Mark due steps of the queues of `step_ids` as published, as far as there is room.

    Others of these queues that have waited for longer come first.
    `limits`: how many hints may be on their way, by queue; a queue that is missing has no worker.
    """
    asked = conn.execute(_QUEUES_OF_DUE, {"steps": list(step_ids)}).scalars()
    queues = sorted(set(asked) & limits.keys())
    return [hint for queue in queues for hint in take_due(conn, queue, limits[queue])]


# These are text because each end of a chain asks for them: building them anew costs our process
# twice what they cost Postgres.
_QUEUES_OF_DUE = one_statement(
    """
SELECT DISTINCT queue FROM step
WHERE id = ANY(:steps) AND status = 'ready' AND published_at IS NULL
""",
    bindparam("steps", type_=ARRAY(Uuid())),
)
_COUNT_ON_THEIR_WAY = one_statement(
    """
SELECT count(*) FROM (
    SELECT FROM step WHERE queue = :queue AND status = 'ready' AND published_at IS NOT NULL
    LIMIT :limit
) AS found
""",
    bindparam("queue", type_=String()),
    bindparam("limit", type_=Integer()),
)
_MARK = one_statement(
    """
UPDATE step SET published_at = clock_timestamp() FROM job
WHERE step.id = ANY(:chosen) AND step.job_id = job.id
    AND step.status = 'ready' AND step.published_at IS NULL
RETURNING step.id, step.job_id, step.name, step.item_key, step.queue, step.chain, step.position,
    step.generation, step.priority, job.pipeline, job.fused
""",
    bindparam("chosen", type_=ARRAY(Uuid())),
)
_REST_OF_CHAINS = one_statement(
    """
SELECT id, job_id, name, item_key, queue, chain, position, generation, priority FROM step
WHERE job_id = ANY(:jobs) AND chain IS NOT NULL AND status = 'pending' ORDER BY position
""",
    bindparam("jobs", type_=ARRAY(Uuid())),
)


def _on_their_way(conn: Connection, queue: str, limit: int) -> int:
    return int(conn.execute(_COUNT_ON_THEIR_WAY, {"queue": queue, "limit": limit}).scalar_one())


def _mark(conn: Connection, chosen: Sequence[UUID]) -> list[Hint]:
    marked = conn.execute(_MARK, {"chosen": chosen}).all()
    chained = [row for row in marked if row.chain is not None and not row.fused]
    rest = _rest_of_chains(conn, chained) if chained else {}
    hints = {row.id: _hint(row, row.pipeline, rest.get(row.id, [])) for row in marked}
    return [hints[one] for one in chosen if one in hints]


def _rest_of_chains(conn: Connection, heads: Sequence[Row[Any]]) -> dict[UUID, list[Hint]]:
    """Return the steps that follow each head in its chain, by the head's id."""
    rows = conn.execute(_REST_OF_CHAINS, {"jobs": [head.job_id for head in heads]}).all()
    return {
        head.id: [
            _hint(row, head.pipeline, [])
            for row in rows
            if (row.job_id, row.chain) == (head.job_id, head.chain) and row.position > head.position
        ]
        for head in heads
    }


def first_hint(rows: Sequence[Json], pipeline: str, *, fused: bool) -> Hint:
    """Return the hint of the one ready step among a job's new rows, with the rest of its chain."""
    (first,) = [row for row in rows if row["status"] is StepStatus.READY]
    rest = [
        _hint(SimpleNamespace(**row), pipeline, [])
        for row in sorted(rows, key=lambda row: int(row["position"]))
        if (row["chain"], fused) == (first["chain"], False)
        and row["position"] > first["position"]
        and row["chain"] is not None
    ]
    return _hint(SimpleNamespace(**first), pipeline, rest)


def _hint(row: Any, pipeline: str, then: list[Hint]) -> Hint:
    return Hint(
        job_id=row.job_id,
        step_id=row.id,
        pipeline=pipeline,
        name=row.name,
        item_key=row.item_key,
        queue=row.queue,
        generation=row.generation,
        priority=row.priority,
        then=then,
    )
