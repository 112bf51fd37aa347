"""Reads a job's two logs: from Postgres what is stored, from Redis what is not yet."""

from typing import NamedTuple
from uuid import UUID

from api.streams.wire import Content, Cursor, Ended, Event
from config.db import connection
from models.jobs.streams import (
    PAGE_EVENTS,
    PAGE_SEGMENTS,
    PER_ATTEMPT,
    Entry,
    Head,
    entries_after,
    events_after,
    heads,
    in_order,
    newest_epoch,
    text_of,
)  # fmt: skip


class Page(NamedTuple):
    """What lies beyond a cursor: as much of it as is read at once, and the job's end behind it."""

    contents: list[Content]
    more: bool
    end: Ended | None


def read_page(job_id: UUID, cursor: Cursor, recent: list[Entry]) -> Page:
    """Return what lies beyond a cursor.

    `recent` is what Redis held *before* this call: entries leave Redis only once they are stored,
    so in this order nothing slips through between the two.
    """
    events: list[Event] = []
    stored: list[Entry] = []
    with connection() as conn:
        head = heads(conn, [job_id]).get(job_id)
        if head is None:
            return Page([], more=False, end=Ended("deleted", None, ""))
        if head.event_seq > cursor.seq:
            rows = events_after(conn, job_id, cursor.seq, limit=PAGE_EVENTS)
            events = [Event(row.seq, row.type, row.data) for row in rows]
        if head.last_entry > cursor.n:
            stored = entries_after(conn, job_id, cursor.n, segments=PAGE_SEGMENTS)
        more_stored = bool(stored) and stored[-1].n < head.last_entry
        more = more_stored or len(events) == PAGE_EVENTS
        reached = events[-1].seq if events else cursor.seq
        end = None
        if head.finished and not more and reached == head.event_seq:
            text = text_of(entries_after(conn, job_id, 0)) if head.last_entry else ""
            end = Ended(head.status, head.error, text)
    known = stored if more_stored else sorted({*stored, *recent})
    return Page(_arranged(cursor, events, list(in_order(cursor.n, known)), end), more, end)


def _arranged(
    cursor: Cursor, events: list[Event], entries: list[Entry], end: Ended | None
) -> list[Content]:
    """Put two logs into one order: the beginning of the job, its stream, its end."""
    if cursor.n:
        return [*entries, *events]
    last = events[-1:] if end else []
    return [*events[: len(events) - len(last)], *entries, *last]


class Start(NamedTuple):
    """From where a reader goes on, and where the job's events end at present."""

    cursor: Cursor
    event_seq: int


def find_start(job_id: UUID, cursor: Cursor) -> Start | None:
    """Return from where a reader goes on; None when a finished job has nothing more for it.

    A cursor beyond the end belongs to another log: such a reader is told everything.
    """
    with connection() as conn:
        head = heads(conn, [job_id]).get(job_id)
        if head is None:
            return None
        foreign = cursor.seq > head.event_seq or (
            cursor.n > head.last_entry and cursor.n // PER_ATTEMPT > newest_epoch(conn, job_id)
        )
    if foreign:
        cursor = Cursor()
    elif head.finished and cursor.covers(Cursor(head.event_seq, head.last_entry).behind_the_end()):
        return None
    return Start(cursor, head.event_seq)


def read_heads(job_ids: list[UUID]) -> dict[UUID, Head]:
    """Return where the logs of these jobs end; jobs that are gone are absent."""
    with connection() as conn:
        return heads(conn, job_ids)
