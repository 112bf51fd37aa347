"""Places of concurrency keys: of the jobs with one key only so many are under way at once.

A job with a key is *held* from the beginning: it has no ready step, so it takes no slot and no
hint. It gets a place by being *admitted*, and keeps it until it ends, whatever becomes of its
workers. Nothing counts places: they are the admitted jobs that have not ended, so none can be lost.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, Float, String, Uuid, bindparam, func, select, text, update

from config.settings import settings
from models.base import one_statement
from models.jobs.lifecycle import open_first
from models.jobs.nodes import PLACE_LOCK
from models.jobs.plan import Expand
from models.jobs.tables import StepStatus, job, step

KEYS = 200  # with held jobs, looked at in one sweep; the next begins after the last of them
COUNTED = 1_000  # jobs ahead are counted so far only

_HELD = "admitted_at IS NULL AND finished_at IS NULL AND concurrency_key"
_PLACES = (
    "SELECT count(*) FROM job AS other WHERE other.admitted_at IS NOT NULL "
    "AND other.finished_at IS NULL AND other.concurrency_key ="
)
_SCORE = (
    "CASE WHEN :age_s = 0 THEN -{0}priority ELSE 0 END, "
    "extract(epoch FROM {0}created_at) - {0}priority * :age_s, {0}id"
)

# The oldest of each priority, and of these the one that waiting has brought to the front.
_NEXT = one_statement(
    f"""
WITH RECURSIVE line AS (
    (SELECT id, pipeline, priority, created_at, concurrency_limit FROM job
    WHERE {_HELD} = :key ORDER BY priority, id LIMIT 1)
    UNION ALL
    SELECT next.* FROM line CROSS JOIN LATERAL (
        SELECT id, pipeline, priority, created_at, concurrency_limit FROM job
        WHERE {_HELD} = :key AND priority > line.priority ORDER BY priority, id LIMIT 1
    ) next
)
SELECT id FROM line
WHERE concurrency_limit > ({_PLACES} :key) AND pipeline = ANY(:known)
ORDER BY {_SCORE.format("")} LIMIT 1
""",  # noqa: S608 — all of it is ours
    bindparam("key", type_=String()),
    bindparam("age_s", type_=Float()),
)

_SWEEP = one_statement(
    f"""
WITH RECURSIVE held AS (
    SELECT CAST(:after AS varchar) AS key
    UNION ALL
    SELECT next.key FROM held CROSS JOIN LATERAL (
        SELECT concurrency_key AS key FROM job WHERE {_HELD} > held.key
        ORDER BY concurrency_key LIMIT 1
    ) next
)
SELECT key, ({_PLACES} key) < (
    SELECT max(concurrency_limit) FROM (
        SELECT concurrency_limit FROM job WHERE {_HELD} = key ORDER BY priority, id LIMIT 1
    ) AS first
) AS room
FROM (SELECT key FROM held OFFSET 1 LIMIT {KEYS}) AS seen
""",  # noqa: S608 — all of it is ours
    bindparam("after", type_=String()),
)

_AHEAD = one_statement(
    f"""
SELECT count(*) FROM (
    SELECT FROM job AS other JOIN job AS own ON own.id = :job
    WHERE other.{_HELD.replace(" AND ", " AND other.")} = own.concurrency_key
        AND ({_SCORE.format("other.")}) < ({_SCORE.format("own.")})
    LIMIT {COUNTED}
) AS ahead
""",  # noqa: S608 — all of it is ours
    bindparam("job", type_=Uuid()),
    bindparam("age_s", type_=Float()),
)


def next_held(conn: Connection, key: str, *, known: Collection[str]) -> UUID | None:
    """Return the held job of a key that gets the next place. None: no place, or nobody waits.

    Whoever asks for the same key meanwhile waits for this transaction to end. Only jobs of the
    pipelines `known` are returned: others need a dispatcher of another version.
    """
    conn.execute(select(func.pg_advisory_xact_lock(PLACE_LOCK, func.hashtext(key))))
    asked = {"key": key, "age_s": settings.engine.priority_age_s, "known": list(known)}
    found: UUID | None = conn.execute(_NEXT, asked).scalar_one_or_none()
    return found


def admit(conn: Connection, job_id: UUID, expand: Expand) -> list[UUID]:
    """Give a held job its place and open its steps; return those that are ready.

    None of them when it has been cancelled in the meantime.
    """
    held = (job.c.finished_at.is_(None)) & (job.c.admitted_at.is_(None))
    admitted = update(job).values(admitted_at=func.clock_timestamp())
    if conn.execute(admitted.where(job.c.id == job_id, held)).rowcount == 0:
        return []
    pending = (step.c.job_id == job_id) & (step.c.status == StepStatus.PENDING)
    first = conn.execute(select(func.min(step.c.position)).where(pending)).scalar_one()
    return open_first(conn, job_id, first, expand)


def keys_with_room(conn: Connection, after: str) -> tuple[list[str], str]:
    """Return keys that have held jobs and room for one, of KEYS keys after `after`.

    Also returns after which key the next look begins; empty: at the first.
    """
    rows = conn.execute(_SWEEP, {"after": after}).all()
    return [row.key for row in rows if row.room], rows[-1].key if len(rows) == KEYS else ""


def jobs_ahead(conn: Connection, job_id: UUID) -> int:
    """Return how many jobs get a place of this one's key before it, COUNTED at most."""
    asked = {"job": job_id, "age_s": settings.engine.priority_age_s}
    return int(conn.execute(_AHEAD, asked).scalar_one())


def held_jobs(conn: Connection) -> int:
    """Return how many jobs wait for a place."""
    return int(
        conn.execute(
            text(f"SELECT count(*) FROM job WHERE {_HELD} IS NOT NULL")  # noqa: S608 — ours
        ).scalar_one()
    )
