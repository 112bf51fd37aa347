"""The two logs of a job as followers read them: events, and the entries of its token stream.

Entry k (from 1) of the attempt with epoch e has the number e * 10**9 + k, so numbers grow over
attempts without anyone remembering the last one: nothing that Redis forgets can restart a count.
"""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, exists, func, insert, literal, select

from models.jobs.tables import StepStatus, job, job_event, step, stream_segment
from models.jobs.transitions import Superseded

PER_ATTEMPT = 10**9  # entries that one attempt can have

TOKEN = "token"  # noqa: S105 — a kind of entry, no secret
RESET = "reset"  # what an earlier attempt has streamed is void
END = "end"


class Entry(NamedTuple):
    """One entry of a token stream."""

    n: int
    kind: str
    data: str


def first_number(epoch: int) -> int:
    """Return the number of an attempt's first entry."""
    return epoch * PER_ATTEMPT + 1


def follows(last: int, n: int) -> bool:
    """Say whether entry `n` comes right after `last` within one attempt, or begins the first."""
    return n == last + 1 or (last == 0 and n % PER_ATTEMPT == 1)


def stream_key(job_id: UUID) -> str:
    """Return the key of a job's Redis Stream."""
    return f"longrun:stream:{job_id}"


def store_entries(
    conn: Connection, job_id: UUID, step_id: UUID, epoch: int, entries: list[Entry]
) -> None:
    """Store entries of the running attempt. Raises Superseded when it is not the valid one."""
    valid = exists().where(
        step.c.id == step_id, step.c.epoch == epoch, step.c.status == StepStatus.RUNNING
    )
    row = select(
        literal(job_id, step.c.job_id.type),
        literal(entries[0].n, stream_segment.c.first.type),
        literal(entries[-1].n, stream_segment.c.last.type),
        literal([[one.kind, one.data] for one in entries], stream_segment.c.entries.type),
    ).where(valid)
    stored = conn.execute(
        insert(stream_segment).from_select(["job_id", "first", "last", "entries"], row)
    )
    if stored.rowcount == 0:
        raise Superseded


def entries_after(conn: Connection, job_id: UUID, n: int) -> list[Entry]:
    """Return the stored entries with numbers beyond `n`, in order."""
    rows = conn.execute(
        select(stream_segment.c.first, stream_segment.c.entries)
        .where(stream_segment.c.job_id == job_id, stream_segment.c.last > n)
        .order_by(stream_segment.c.first)
    )
    return [
        Entry(first + k, kind, data)
        for first, entries in rows
        for k, (kind, data) in enumerate(entries)
        if first + k > n
    ]


def text_of(entries: list[Entry]) -> str:
    """Return the text that a stream amounts to: the tokens since the last reset."""
    begin = max((k for k, one in enumerate(entries) if one.kind == RESET), default=-1) + 1
    return "".join(one.data for one in entries[begin:] if one.kind == TOKEN)


def events_after(conn: Connection, job_id: UUID, seq: int) -> list[Row[Any]]:
    """Return the events (seq, type, data, at) with numbers beyond `seq`, in order."""
    return list(
        conn.execute(
            select(job_event.c.seq, job_event.c.type, job_event.c.data, job_event.c.at)
            .where(job_event.c.job_id == job_id, job_event.c.seq > seq)
            .order_by(job_event.c.seq)
        )
    )


def head(conn: Connection, job_id: UUID) -> Any | None:
    """Return where a job's logs stand: (status, finished_at, event_seq, error, last_entry)."""
    last = (
        select(func.coalesce(func.max(stream_segment.c.last), 0))
        .where(stream_segment.c.job_id == job_id)
        .scalar_subquery()
    )
    return conn.execute(
        select(
            job.c.status, job.c.finished_at, job.c.event_seq, job.c.error, last.label("last_entry")
        ).where(job.c.id == job_id)
    ).one_or_none()
