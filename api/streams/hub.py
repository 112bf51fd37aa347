"""Follows jobs for readers: one hub and one pub/sub connection per process, one topic per job.

Redis only says what is new; what a reader gets is in order by number, and what is missing comes
from the logs. A topic keeps the latest contents for all its readers; each reader has its own place
in it and, when it falls behind, reads the logs by itself. So nothing is dropped or sent twice.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar
from uuid import UUID

import anyio
import redis
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from api.streams.listener import Listener
from api.streams.logs import Page, Start, find_start, read_heads, read_page
from api.streams.topic import RETRY_S, Reader, Topic
from api.streams.wire import Cursor, Ended, Rendering
from config.redis import async_client
from config.settings import settings
from models.jobs.streams import Entry, stream_key

logger = logging.getLogger(__name__)
T = TypeVar("T")

THREADS = 4  # that read Postgres for followers, however many there are
LINGER_S = 5.0  # a topic outlives its last reader by so long: it may only be reconnecting
POLL_PAGE = 1000  # topics asked about in one query
REPLAY_PAUSE_S = 0.1  # before a reader that is behind looks for more, when there was none


class Hub:
    """All topics of this process."""

    def __init__(self) -> None:
        """Prepare; `running` connects."""
        self.topics: dict[UUID, Topic] = {}
        self.readers = 0
        self.shutdown = anyio.Event()  # set when the server begins to stop
        self._client = async_client()
        self._listener = Listener(self._client, self._heard, self._lost)
        self._threads = anyio.CapacityLimiter(THREADS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Hub"]:
        """Follow while the application runs; Redis may come and go."""
        global _current
        tasks = [
            asyncio.create_task(work()) for work in (self._listener.run, self._poll, self._stop)
        ]
        _current = self
        try:
            yield self
        finally:
            self.shutdown.set()
            for topic in self.topics.values():
                topic.wake()
            await _end([*tasks, *(topic.pump for topic in self.topics.values())])
            await self._client.aclose()

    async def find_start(self, job_id: UUID, cursor: Cursor) -> Start | None:
        """Return from where a reader goes on; None when there is nothing more for it."""
        return await self._in_thread(find_start, job_id, cursor)

    async def frames(
        self, job_id: UUID, start: Start, rendering: Rendering
    ) -> AsyncIterator[bytes]:
        """Yield the frames beyond `start`, then live ones, to the job's end."""
        reader = Reader(start.cursor, rendering)
        with self._reading(job_id, start) as topic:
            while not self.shutdown.is_set():
                changed, end, over, at = topic.changed, topic.end, topic.over, reader.cursor
                frames = reader.take(topic)
                behind = frames is None
                if frames is None:
                    frames = await self._replay(job_id, reader)
                if frames:
                    yield frames
                if reader.cursor != at:
                    continue
                if end is not None:
                    yield reader.last_frame(end)
                if over:
                    return
                await changed.wait()
                if behind:
                    await asyncio.sleep(REPLAY_PAUSE_S)

    async def finished(self, job_id: UUID, *, timeout_s: float) -> Ended | None:
        """Wait for the end of a job; None when it has not ended after `timeout_s` seconds."""
        head = (await self._in_thread(read_heads, [job_id])).get(job_id)
        if head is None:
            return None
        start = Start(Cursor(head.event_seq, head.last_entry), head.event_seq)
        with self._reading(job_id, start) as topic, suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not (topic.over or self.shutdown.is_set()):
                    await topic.changed.wait()
        return topic.end

    @contextmanager
    def _reading(self, job_id: UUID, start: Start) -> Iterator[Topic]:
        topic = self._topic(job_id, start)
        topic.readers += 1
        self.readers += 1
        try:
            yield topic
        finally:
            self.readers -= 1
            topic.readers -= 1
            topic.idle_since = time.monotonic()

    def _topic(self, job_id: UUID, start: Start) -> Topic:
        """Return the job's topic; a new one if there is none, or if the job was resumed."""
        topic = self.topics.get(job_id)
        if topic is not None and (not topic.over or topic.cursor.seq == start.event_seq):
            return topic
        self.topics[job_id] = topic = Topic(job_id, start.cursor, self._read_page)
        if not self._listener.want(job_id):
            topic.stale.set()
        return topic

    async def _replay(self, job_id: UUID, reader: Reader) -> bytes:
        """Return the next frames for a reader that the topic does not reach back to."""
        while True:
            try:
                return reader.take_page(await self._read_page(job_id, reader.cursor))
            except SQLAlchemyError as error:
                logger.warning("Postgres is away: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _read_page(self, job_id: UUID, cursor: Cursor) -> Page:
        recent = await self._recent(job_id, cursor.n)
        return await self._in_thread(read_page, job_id, cursor, recent)

    async def _recent(self, job_id: UUID, n: int) -> list[Entry]:
        """Return the entries beyond `n` that Redis still has."""
        if not self._listener.connected:
            return []
        try:
            rows: Any = await self._client.xrange(stream_key(job_id), f"({n}-0")
        except (redis.RedisError, OSError):
            return []
        return [
            Entry(int(id_.split(b"-")[0]), fields[b"k"].decode(), fields[b"d"].decode())
            for id_, fields in rows
        ]

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        return await run_sync(call, *arguments, limiter=self._threads)

    def _heard(self, job_id: UUID, batch: bytes) -> None:
        if topic := self.topics.get(job_id):
            topic.hear(batch)

    def _lost(self) -> None:
        for topic in self.topics.values():
            topic.stale.set()

    async def _stop(self) -> None:
        await self.shutdown.wait()
        for topic in self.topics.values():
            topic.wake()

    async def _poll(self) -> None:
        """Find what no message has told, and let go of topics that nobody reads."""
        while True:
            await asyncio.sleep(settings.stream.silence_s)
            self._forget_idle()
            live = [job_id for job_id, topic in self.topics.items() if not topic.over]
            for k in range(0, len(live), POLL_PAGE):
                try:
                    await self._compare(live[k : k + POLL_PAGE])
                except SQLAlchemyError as error:
                    logger.warning("Postgres is away: %s", error)

    async def _compare(self, job_ids: list[UUID]) -> None:
        heads = await self._in_thread(read_heads, job_ids)
        for job_id in job_ids:
            topic = self.topics.get(job_id)
            if topic is not None and topic.is_behind(heads.get(job_id)):
                topic.stale.set()

    def _forget_idle(self) -> None:
        long_ago = time.monotonic() - LINGER_S
        for job_id, topic in list(self.topics.items()):
            if not topic.readers and topic.idle_since < long_ago:
                del self.topics[job_id]
                self._listener.drop(job_id)
                topic.close()


async def _end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks until they have ended; before Python 3.12 `wait_for` may swallow a cancel."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


_current: Hub | None = None


def current_hub() -> Hub:
    """Return the hub of the running application."""
    assert _current is not None, "the application has not started"
    return _current


async def finished(job_id: UUID, *, timeout_s: float) -> Ended | None:
    """Wait for the end of a job; None when it has not ended after `timeout_s` seconds."""
    return await current_hub().finished(job_id, timeout_s=timeout_s)
