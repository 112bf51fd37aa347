"""The two logs of a job as followers read them: events, and the entries of its token stream.

Entry k (from 1) of the attempt with epoch e has the number e * 10**9 + k, so numbers grow over
attempts without anyone remembering the last one: nothing that Redis forgets can restart a count.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    Uuid,
    bindparam,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from models.base import one_statement
from models.jobs.claims import Superseded
from models.jobs.tables import StepStatus, step, stream_segment

PER_ATTEMPT = 10**9  # entries that one attempt can have

TOKEN = "token"  # noqa: S105 — a kind of entry, no secret
RESET = "reset"  # what an earlier attempt has streamed is void
END = "end"

PAGE_EVENTS = 500
PAGE_SEGMENTS = 16  # about as many seconds of streaming


class Entry(NamedTuple):
    """One entry of a token stream."""

    n: int
    kind: str
    data: str


class Head(NamedTuple):
    """Where a job's logs end."""

    status: str
    finished: bool
    error: dict[str, Any] | None
    event_seq: int
    last_entry: int  # that is stored; Redis may be a second ahead


# Each follower's page asks for these, and building a statement costs us more than it does Postgres.
_SEGMENTS = one_statement(
    """
SELECT first, entries FROM stream_segment
WHERE job_id = :job AND last > :n ORDER BY first LIMIT :limit
""",
    bindparam("job", type_=Uuid()),
    bindparam("n", type_=BigInteger()),
    bindparam("limit", type_=Integer()),
)
_EVENTS = one_statement(
    """
SELECT seq, type, data, at FROM job_event
WHERE job_id = :job AND seq > :seq ORDER BY seq LIMIT :limit
""",
    bindparam("job", type_=Uuid()),
    bindparam("seq", type_=Integer()),
    bindparam("limit", type_=Integer()),
)
_HEADS = one_statement(
    """
SELECT id, status, finished_at IS NOT NULL, error, event_seq, coalesce((
    SELECT last FROM stream_segment WHERE job_id = job.id ORDER BY first DESC LIMIT 1
), 0)
FROM job WHERE id = ANY(:jobs)
""",
    bindparam("jobs", type_=ARRAY(Uuid())),
)


def first_number(epoch: int) -> int:
    """Return the number of an attempt's first entry."""
    return epoch * PER_ATTEMPT + 1


def in_order(last: int, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries that come after number `last` without a gap.

    `entries` ascend, and may repeat. The first entry of a newer attempt always comes next: whatever
    its predecessor has lost is void. Entries behind a gap are left out.
    """
    for entry in entries:
        if entry.n == last + 1 or (entry.n > last and entry.n % PER_ATTEMPT == 1):
            last = entry.n
            yield entry


def stream_key(job_id: UUID) -> str:
    """Return the key of a job's Redis Stream: ids `<number>-0`, fields `k` (kind) and `d`."""
    return f"longrun:stream:{job_id}"


def store_entries(
    conn: Connection, job_id: UUID, step_id: UUID, epoch: int, entries: Sequence[Entry]
) -> None:
    """Store entries of the running attempt. Raises Superseded when it is not the valid one.

    Safe to repeat, also with more entries at the end: a commit that raised may have been applied.
    """
    valid = exists().where(
        step.c.id == step_id, step.c.epoch == epoch, step.c.status == StepStatus.RUNNING
    )
    row = select(
        literal(job_id, step.c.job_id.type),
        literal(entries[0].n, stream_segment.c.first.type),
        literal(entries[-1].n, stream_segment.c.last.type),
        literal([[one.kind, one.data] for one in entries], stream_segment.c.entries.type),
    ).where(valid)
    new = insert(stream_segment).from_select(["job_id", "first", "last", "entries"], row)
    stored = conn.execute(
        new.on_conflict_do_update(
            index_elements=["job_id", "first"],
            set_={"last": new.excluded.last, "entries": new.excluded.entries},
        ).returning(stream_segment.c.last)
    )
    if stored.one_or_none() is None:
        raise Superseded


def entries_after(
    conn: Connection, job_id: UUID, n: int, *, segments: int | None = None
) -> list[Entry]:
    """Return the stored entries with numbers beyond `n`, in order, of so many segments."""
    rows = conn.execute(_SEGMENTS, {"job": job_id, "n": n, "limit": segments})
    return [
        Entry(first + k, kind, data)
        for first, entries in rows
        for k, (kind, data) in enumerate(entries)
        if first + k > n
    ]


def text_of(entries: Sequence[Entry]) -> str:
    """Return the text that a stream amounts to: the tokens since the last reset."""
    begin = max((k for k, one in enumerate(entries) if one.kind == RESET), default=-1) + 1
    return "".join(one.data for one in entries[begin:] if one.kind == TOKEN)


def events_after(
    conn: Connection, job_id: UUID, seq: int, *, limit: int | None = None
) -> list[Row[Any]]:
    """Return the events (seq, type, data, at) with numbers beyond `seq`, in order."""
    return list(conn.execute(_EVENTS, {"job": job_id, "seq": seq, "limit": limit}))


def heads(conn: Connection, job_ids: Sequence[UUID]) -> dict[UUID, Head]:
    """Return where the logs of these jobs end; jobs that are gone are absent."""
    rows = conn.execute(_HEADS, {"jobs": list(job_ids)})
    return {row[0]: Head(*row[1:]) for row in rows}


def newest_epoch(conn: Connection, job_id: UUID) -> int:
    """Return the highest epoch of a job's steps: no entry has a number beyond its attempt."""
    found = select(func.coalesce(func.max(step.c.epoch), 0)).where(step.c.job_id == job_id)
    return int(conn.execute(found).scalar_one())
