"""Whose turn it is: which due steps of a queue are published next when not all of them can be.

Steps of one owner and one priority stand in a *line*, by age. Lines take turns: the first of each
counts as waiting since it was made, or since its line was last served, whichever is later; so
nobody's ten thousand steps come before somebody's one, and who has waited longest comes first.
Waiting raises the priority, by one per `ENGINE_PRIORITY_AGE_S`, so no line is passed over forever.
"""

from uuid import UUID

from sqlalchemy import (
    Connection,
    Float,
    Integer,
    SmallInteger,
    String,
    Uuid,
    bindparam,
    delete,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from config.settings import settings
from models.base import one_statement, seconds
from models.jobs.bookkeeping import turn
from models.jobs.tables import NOBODY

LINES = 50  # looked at in one go, a few ms; where more wait, the next begins after the last
REMEMBERED_S = 86_400.0  # nobody's first step waits longer without a turn
FIRST = (NOBODY, -32_768)  # before every line

_DUE = (
    "queue = :queue AND status = 'ready' AND published_at IS NULL "
    "AND (ready_at IS NULL OR ready_at <= clock_timestamp())"
)
_ORDER = (
    "CASE WHEN :age_s = 0 THEN -priority END, extract(epoch FROM since) - priority * :age_s, "
    "nth, id"
)

# `line` jumps from line to line on ix_step_turn: its cost is the number of lines, not of steps.
_CHOOSE = one_statement(
    f"""
WITH RECURSIVE line AS (
    SELECT 0 AS lap, CAST(:owner AS uuid) AS owner_id, CAST(:priority AS smallint) AS priority
    UNION ALL
    SELECT next.* FROM line CROSS JOIN LATERAL (
        (SELECT line.lap, owner_id, priority FROM step
        WHERE {_DUE} AND (owner_id, priority) > (line.owner_id, line.priority)
        ORDER BY owner_id, priority LIMIT 1)
        UNION ALL
        (SELECT 1, owner_id, priority FROM step WHERE {_DUE} AND line.lap = 0
        ORDER BY owner_id, priority LIMIT 1)
        LIMIT 1
    ) next
    WHERE next.lap = 0 OR (next.owner_id, next.priority) <= (:owner, :priority)
), seen AS (
    (SELECT owner_id, priority FROM line OFFSET 1 LIMIT :lines)
    UNION
    (SELECT owner_id, priority FROM step WHERE {_DUE} ORDER BY priority DESC, id LIMIT :free)
), busy AS (
    SELECT owner_id, count(*) AS steps FROM step
    WHERE :per_owner > 0 AND queue = :queue
        AND (status = 'running' OR status = 'ready' AND published_at IS NOT NULL)
    GROUP BY owner_id
), waiting AS (
    SELECT seen.owner_id, seen.priority, own.id, own.nth,
        CASE WHEN own.nth > 1 THEN now() ELSE greatest(own.created_at, turn.served_at) END AS since
    FROM seen
    LEFT JOIN turn ON turn.queue = :queue
        AND turn.owner_id = seen.owner_id AND turn.priority = seen.priority
    CROSS JOIN LATERAL (
        SELECT id, created_at, row_number() OVER (ORDER BY id) AS nth FROM (
            SELECT id, created_at FROM step
            WHERE {_DUE} AND owner_id = seen.owner_id AND priority = seen.priority
            ORDER BY id LIMIT :free
        ) AS oldest
    ) AS own
), allowed AS (
    SELECT waiting.*, row_number() OVER (ORDER BY {_ORDER}) AS place FROM (
        SELECT *, row_number() OVER (PARTITION BY owner_id ORDER BY {_ORDER}) AS of_owner
        FROM waiting
    ) AS waiting
    LEFT JOIN busy USING (owner_id)
    WHERE :per_owner = 0 OR of_owner + coalesce(busy.steps, 0) <= :per_owner
), locked AS (
    SELECT id FROM step
    WHERE id = ANY (ARRAY(SELECT id FROM allowed WHERE place <= :free))
    FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT id, owner_id, priority, place FROM allowed
    WHERE place <= :free AND id IN (SELECT id FROM locked)
), served AS (
    INSERT INTO turn (queue, owner_id, priority, served_at)
    SELECT :queue, owner_id, priority, clock_timestamp() FROM chosen
    WHERE (SELECT count(*) FROM waiting) > :free AND (SELECT count(*) FROM seen) > 1
    GROUP BY owner_id, priority ORDER BY owner_id, priority
    ON CONFLICT (queue, owner_id, priority) DO UPDATE SET served_at = excluded.served_at
)
SELECT id, owner_id, priority FROM chosen ORDER BY place
""",  # noqa: S608 — all of it is ours
    bindparam("queue", type_=String()),
    bindparam("owner", type_=Uuid()),
    bindparam("priority", type_=SmallInteger()),
    bindparam("free", type_=Integer()),
    bindparam("lines", type_=Integer()),
    bindparam("per_owner", type_=Integer()),
    bindparam("age_s", type_=Float()),
)

_after: dict[str, tuple[UUID, int]] = {}  # the line that this process served last, by queue


def choose(conn: Connection, queue: str, free: int) -> list[UUID]:
    """Lock and return the steps of a queue whose turn it is, `free` at most, in order.

    Steps that somebody else is choosing are passed over; one that somebody has just chosen may be
    among them, so whoever marks them looks again.
    """
    owner, priority = _after.get(queue, FIRST)
    rows = conn.execute(
        _CHOOSE,
        {
            "queue": queue,
            "free": free,
            "owner": owner,
            "priority": priority,
            "lines": LINES,
            "per_owner": settings.engine.owner_steps,
            "age_s": settings.engine.priority_age_s,
        },
    ).all()
    if rows:
        _after[queue] = (rows[-1].owner_id, rows[-1].priority)
    return [row.id for row in rows]


_queues_with_turns = text(
    "SELECT queue FROM unnest(:queues) AS asked(queue) WHERE EXISTS (SELECT FROM step "
    "WHERE step.queue = asked.queue AND status = 'ready' AND published_at IS NULL "
    "AND (ready_at IS NULL OR ready_at <= clock_timestamp()))"
).bindparams(bindparam("queues", type_=ARRAY(String())))


def queues_with_turns(conn: Connection, queues: list[str]) -> set[str]:
    """Return those of `queues` in which a step waits for its turn."""
    return set(conn.execute(_queues_with_turns, {"queues": queues}).scalars())


def forget_turns(conn: Connection) -> None:
    """Forget when lines were served that had no turn for long."""
    old = func.clock_timestamp() - seconds(REMEMBERED_S)
    conn.execute(delete(turn).where(turn.c.served_at < old))
