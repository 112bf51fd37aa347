"""Follows jobs for readers: one hub and one pub/sub connection per process, one topic per job.

Redis only says that there is something new; what a reader gets comes from the logs, by number. A
topic keeps the latest items in order for all its readers; each reader has its own place in it and,
when it falls behind, replays from Postgres. So nothing is dropped and nothing is sent twice.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias
from uuid import UUID

import redis
import redis.asyncio as aioredis
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from config.db import connection
from config.redis import channel, client
from config.settings import settings
from models.errors import Invalid
from models.jobs.streams import (
    PER_ATTEMPT,
    Entry,
    entries_after,
    events_after,
    follows,
    head,
    stream_key,
    text_of,
)  # fmt: skip

logger = logging.getLogger(__name__)

KEPT_ITEMS = 4096  # of a topic, for its readers; older ones come from Postgres
RECONNECT_S = 1.0
RETRY = b"retry: 2000\n"  # begins the first frame: how long a browser waits to reconnect, in ms


class InvalidCursor(Invalid):
    """A cursor has the form `<event>-<entry>`, as the stream's ids do."""

    code = "invalid_cursor"


class Cursor(NamedTuple):
    """How far a reader has come in each of the two logs."""

    seq: int = 0
    n: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Return the cursor of a stream id. Raises InvalidCursor."""
        if not text:
            return cls()
        seq, dash, n = text.partition("-")
        if not (dash and seq.isascii() and n.isascii() and seq.isdigit() and n.isdigit()):
            raise InvalidCursor()
        if len(seq) > 9 or len(n) > 18:
            raise InvalidCursor()
        return cls(int(seq), int(n))


class Event(NamedTuple):
    """One line of a job's log."""

    seq: int
    type: str
    data: dict[str, Any]


Content: TypeAlias = Event | Entry


class Ended(NamedTuple):
    """How a job has ended, and the text it has streamed."""

    status: str
    error: dict[str, Any] | None
    text: str


class Rendering(Protocol):
    """A dialect of the stream: what an item looks like on the wire, without its `id:` line."""

    def event(self, event: Event) -> str | None:
        """Return an event's lines, or None when this dialect does not show it."""
        ...

    def entry(self, entry: Entry) -> str | None:
        """Return a stream entry's lines, or None when this dialect does not show it."""
        ...

    def ended(self, end: Ended) -> str:
        """Return the lines of the last frame."""
        ...


class EngineRendering:
    """The engine's own dialect: named events with JSON."""

    def event(self, event: Event) -> str | None:
        """Show every event under its type."""
        return f"event: {event.type}\ndata: {json.dumps(event.data)}\n\n"

    def entry(self, entry: Entry) -> str | None:
        """Show tokens and whatever else a step has emitted."""
        if entry.kind == "end":
            return None
        return f"event: {entry.kind}\ndata: {json.dumps({entry.kind: entry.data})}\n\n"

    def ended(self, end: Ended) -> str:
        """Close with the job's status."""
        told = {"status": end.status} | ({"error": end.error} if end.error else {})
        return f"event: end\ndata: {json.dumps(told)}\n\n"


ENGINE = EngineRendering()


@dataclass(slots=True)
class _Item:
    """An item of a topic, where the topic stood with it, and its frames by dialect."""

    content: Content
    cursor: Cursor
    frames: dict[Rendering, bytes | None] = field(default_factory=dict)

    def frame(self, rendering: Rendering, cursor: Cursor) -> bytes | None:
        """Return the frame for a reader that stands at `cursor` with it; encoded once for most."""
        if cursor != self.cursor:
            return _encode(self.content, rendering, cursor)
        if rendering not in self.frames:
            self.frames[rendering] = _encode(self.content, rendering, cursor)
        return self.frames[rendering]


def _encode(content: Content, rendering: Rendering, cursor: Cursor) -> bytes | None:
    shown = rendering.event(content) if isinstance(content, Event) else rendering.entry(content)
    return None if shown is None else f"id: {cursor.seq}-{cursor.n}\n{shown}".encode()


class Topic:
    """One followed job, as this process knows it."""

    def __init__(self, hub: "Hub", job_id: UUID) -> None:
        """Know nothing yet; the pump reads the logs."""
        self.hub, self.job_id = hub, job_id
        self.items: deque[_Item] = deque(maxlen=KEPT_ITEMS)
        self.count = 0  # items ever; the first one kept is number count - len(items)
        self.cursor = Cursor()
        self.end: Ended | None = None
        self.readers = 0
        self.changed = asyncio.Event()
        self.news: asyncio.Queue[bytes] = asyncio.Queue()
        self.pump: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Take in what is announced; read the logs at a gap and after a silence."""
        while self.end is None:
            try:
                await self._once()
            except DBAPIError:
                await asyncio.sleep(RECONNECT_S)

    async def _once(self) -> None:
        try:
            heard = await asyncio.wait_for(self.news.get(), settings.stream.silence_s)
        except TimeoutError:
            heard = b""
        if heard:
            for n, kind, data in json.loads(heard):
                if n > self.cursor.n and not self._append(Entry(n, kind, data)):
                    await self._read_entries()
            self._wake()
        else:
            await self.catch_up()

    def _append(self, content: Content) -> bool:
        """Add an item if it is the next of its log."""
        if isinstance(content, Event):
            self.cursor = Cursor(content.seq, self.cursor.n)
        elif follows(self.cursor.n, content.n):
            self.cursor = Cursor(self.cursor.seq, content.n)
        else:
            return False
        self.items.append(_Item(content, self.cursor))
        self.count += 1
        return True

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def catch_up(self) -> None:
        """Read both logs to their ends, and notice the job's end."""
        events, ended = await run_in_threadpool(_news, self.job_id, self.cursor.seq)
        await self._read_entries()
        for event in events:
            if event.seq > self.cursor.seq:
                self._append(event)
        self.end = ended
        self._wake()

    async def _read_entries(self) -> None:
        for entry in await self.hub.entries(self.job_id, self.cursor.n):
            begins = entry.n % PER_ATTEMPT == 1 and entry.n > self.cursor.n
            if begins:  # a new attempt; what the one before it may have lost is void anyway
                self.cursor = Cursor(self.cursor.seq, entry.n - 1)
            if entry.n > self.cursor.n and not self._append(entry):
                break


def _news(job_id: UUID, seq: int) -> tuple[list[Event], Ended | None]:
    """Return the events beyond `seq`, and the job's end if they reach it."""
    with connection() as conn:
        at = head(conn, job_id)
        events = [Event(row.seq, row.type, row.data) for row in events_after(conn, job_id, seq)]
        if at is None:
            return events, Ended("deleted", None, "")
        reached = events[-1].seq if events else seq
        if at.finished_at is None or reached < at.event_seq:
            return events, None
        text = text_of(entries_after(conn, job_id, 0)) if at.last_entry else ""
        return events, Ended(at.status, at.error, text)


class Hub:
    """All topics of this process, and its one pub/sub connection."""

    def __init__(self) -> None:
        """Prepare; `running` connects."""
        self.topics: dict[UUID, Topic] = {}
        self.stopping = asyncio.Event()
        self._redis: aioredis.Redis | None = None
        self._pubsub: Any = None
        self.readers = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Hub"]:
        """Listen while the application runs; Redis may come and go."""
        self._redis = aioredis.Redis.from_url(
            settings.redis.url, socket_connect_timeout=settings.redis.timeout_s
        )
        listener = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            self.stopping.set()
            for topic in self.topics.values():
                topic.changed.set()
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
            await self._redis.aclose()

    async def _listen(self) -> None:
        assert self._redis is not None
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe("longrun:hub", *map(channel, self.topics))
                    self._pubsub = pubsub
                    async for message in pubsub.listen():
                        self._deliver(message)
            except (redis.RedisError, OSError):
                self._pubsub = None
                await asyncio.sleep(RECONNECT_S)

    def _deliver(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            job_id = UUID(message["channel"].decode().rpartition(":")[2])
            if topic := self.topics.get(job_id):
                topic.news.put_nowait(message["data"])

    @asynccontextmanager
    async def topic(self, job_id: UUID) -> AsyncIterator[Topic]:
        """Give a reader the job's topic, made for the first and dropped after the last."""
        topic = self.topics.get(job_id)
        if topic is None or topic.end is not None:
            topic = self.topics[job_id] = Topic(self, job_id)
            await self._subscription("subscribe", job_id)
            topic.news.put_nowait(b"")
            topic.pump = asyncio.create_task(topic.run())
        topic.readers += 1
        self.readers += 1
        try:
            yield topic
        finally:
            topic.readers -= 1
            self.readers -= 1
            if not topic.readers:
                assert topic.pump is not None
                topic.pump.cancel()
                if self.topics.get(job_id) is topic:
                    del self.topics[job_id]
                    await self._subscription("unsubscribe", job_id)

    async def _subscription(self, verb: str, job_id: UUID) -> None:
        if self._pubsub is not None:
            with suppress(redis.RedisError, OSError):
                await getattr(self._pubsub, verb)(channel(job_id))

    async def entries(self, job_id: UUID, n: int) -> list[Entry]:
        """Return the stream's entries beyond `n`: what is stored, then what only Redis has."""
        stored = await run_in_threadpool(_stored, job_id, n)
        last = stored[-1].n if stored else n
        try:
            live: Any = await run_in_threadpool(client().xrange, stream_key(job_id), f"({last}-0")
        except (redis.RedisError, OSError):
            return stored
        return stored + [
            Entry(int(id_.split(b"-")[0]), fields[b"k"].decode(), fields[b"d"].decode())
            for id_, fields in live
        ]

    async def frames(
        self, job_id: UUID, cursor: Cursor, rendering: Rendering
    ) -> AsyncIterator[bytes]:
        """Yield the frames beyond `cursor`, then live ones, to the job's end."""
        reader = _Reader(cursor, rendering)
        async with self.topic(job_id) as topic:
            place = -1  # in the topic's items; behind those that are kept: replay first
            while not self.stopping.is_set():
                changed, end, kept_from = topic.changed, topic.end, topic.count - len(topic.items)
                if place < kept_from:
                    place = topic.count
                    async for frame in self._replay(job_id, reader):
                        yield frame
                    continue
                fresh = [topic.items[k - kept_from] for k in range(place, topic.count)]
                place = topic.count
                for shown in map(reader.pass_over, fresh):
                    if shown is not None:
                        yield shown
                if end is not None and place == topic.count:
                    async for frame in self._replay(job_id, reader):
                        yield frame
                    yield reader.last_frame(end)
                    return
                if place == topic.count:
                    await changed.wait()

    async def _replay(self, job_id: UUID, reader: "_Reader") -> AsyncIterator[bytes]:
        """Yield what the logs hold beyond a reader: events, the stream, then the job's end."""
        events, ended = await run_in_threadpool(_news, job_id, reader.cursor.seq)
        entries = await self.entries(job_id, reader.cursor.n)
        last = [events.pop()] if events and ended is not None else []
        contents: list[Content] = [*events, *entries, *last]
        for content in contents:
            if isinstance(content, Entry) and not reader.may_take(content):
                continue
            if frame := reader.pass_over(_Item(content, Cursor())):
                yield frame


class _Reader:
    """One reader's place in both logs."""

    def __init__(self, cursor: Cursor, rendering: Rendering) -> None:
        self.cursor, self.rendering = cursor, rendering
        self._prefix = RETRY

    def may_take(self, entry: Entry) -> bool:
        """Say whether no entry of this attempt is missing before `entry`."""
        return follows(self.cursor.n, entry.n) or entry.n % PER_ATTEMPT == 1

    def pass_over(self, item: _Item) -> bytes | None:
        """Move on over an item; return its frame unless it was seen before or is not shown."""
        content, at = item.content, self.cursor
        if isinstance(content, Event):
            if content.seq <= at.seq:
                return None
            self.cursor = Cursor(content.seq, at.n)
        else:
            if content.n <= at.n:
                return None
            self.cursor = Cursor(at.seq, content.n)
        frame = item.frame(self.rendering, self.cursor)
        if frame is not None and self._prefix:
            frame, self._prefix = self._prefix + frame, b""
        return frame

    def last_frame(self, end: Ended) -> bytes:
        """Return the frame that ends the stream."""
        shown = self.rendering.ended(end)
        return self._prefix + f"id: {self.cursor.seq}-{self.cursor.n}\n{shown}".encode()


def _stored(job_id: UUID, n: int) -> list[Entry]:
    with connection() as conn:
        return entries_after(conn, job_id, n)


def at_the_end(job_id: UUID, cursor: Cursor) -> bool:
    """Say whether a reader at `cursor` has all that a finished job will ever say."""
    with connection() as conn:
        at = head(conn, job_id)
    if at is None or at.finished_at is None:
        return False
    return bool(cursor.seq >= at.event_seq and cursor.n >= at.last_entry)


hub: Hub | None = None


def current_hub() -> Hub:
    """Return the hub of the running application."""
    assert hub is not None, "the application has not started"
    return hub


async def finished(job_id: UUID, *, timeout_s: float) -> Ended | None:
    """Wait for the end of a job; None when it has not ended after `timeout_s` seconds."""
    async with current_hub().topic(job_id) as topic:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while topic.end is None and not current_hub().stopping.is_set():
                    await topic.changed.wait()
        return topic.end
