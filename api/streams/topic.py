"""One followed job, as this process knows it, and a reader's place in it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from api.streams.logs import Page
from api.streams.wire import Content, Cursor, Ended, Rendering, encode
from config.settings import settings
from models.jobs.streams import Entry, Head, in_order

logger = logging.getLogger(__name__)

BLOCK = 128  # contents that are encoded together, once for all readers
LOOSE = 64  # encodings of less than a block that are kept for readers at the same place
CATCH_UP_PAUSE_S = 0.01  # between two readings of the logs, however much is announced
RETRY_S = 1.0  # after Postgres has failed
RETRY = b"retry: 2000\n"  # begins the first frame: how long a browser waits to reconnect, in ms

ReadPage = Callable[[UUID, Cursor], Awaitable[Page]]


class Topic:
    """The latest contents of a job's logs, in the order in which all its readers see them."""

    def __init__(self, job_id: UUID, start: Cursor, read_page: ReadPage) -> None:
        """Know nothing before `start`; the pump reads on from there whenever the topic is stale."""
        self.job_id = job_id
        self.cursor = start
        self.end: Ended | None = None
        self.readers = 0
        self.idle_since = 0.0
        self.stale = asyncio.Event()
        self.changed = asyncio.Event()  # replaced at every change
        self.first = 0  # number of the oldest content that is kept
        self._contents: list[Content] = []
        self._cursors = [start]  # where the topic stood before each content, and stands now
        self._blocks: dict[tuple[Rendering, int], bytes] = {}
        self._loose: dict[tuple[Rendering, int], bytes] = {}
        self._closed = False
        self._read_page = read_page
        self.pump = asyncio.create_task(self._run())
        self.pump.add_done_callback(self._pump_ended)

    @property
    def count(self) -> int:
        """How many contents there have been."""
        return self.first + len(self._contents)

    @property
    def over(self) -> bool:
        """Whether nothing will be added any more."""
        return self.end is not None or self.pump.done()

    def close(self) -> None:
        """Read no more."""
        self._closed = True  # before Python 3.12 `wait_for` may swallow a cancel
        self.pump.cancel()

    def hear(self, batch: bytes) -> None:
        """Take in what was published: a batch of entries, or nothing but that there is news."""
        if self.end is not None:
            return
        heard = [Entry(*one) for one in json.loads(batch)] if batch else []
        if heard:
            self._add(list(in_order(self.cursor.n, heard)))
            self.wake()
        if not heard or heard[-1].n > self.cursor.n:  # nothing told, or a gap
            self.stale.set()

    def is_behind(self, head: Head | None) -> bool:
        """Say whether the logs hold more than this topic, or an end."""
        if head is None or head.finished:
            return True
        return not self.cursor.covers(Cursor(head.event_seq, head.last_entry))

    def wake(self) -> None:
        """Let all readers look."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def _run(self) -> None:
        while self.end is None and not self._closed:
            await self.stale.wait()
            self.stale.clear()
            try:
                await self._catch_up()
            except SQLAlchemyError as error:
                logger.warning("job %s cannot be followed for now: %s", self.job_id, error)
                self.stale.set()
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(CATCH_UP_PAUSE_S)

    async def _catch_up(self) -> None:
        """Read both logs to their ends, and notice the job's end."""
        more = True
        while more:
            page, before = await self._read_page(self.job_id, self.cursor), self.cursor
            self._add(page.contents)
            self.end = page.end
            self.wake()
            more = page.more and self.cursor != before

    def _pump_ended(self, pump: "asyncio.Task[None]") -> None:
        if not pump.cancelled() and (error := pump.exception()):
            logger.error("job %s is not followed any more", self.job_id, exc_info=error)
        self.wake()

    def _add(self, contents: list[Content] | list[Entry]) -> None:
        for content in contents:
            cursor = self.cursor.over(content)
            if cursor != self.cursor:
                self.cursor = cursor
                self._contents.append(content)
                self._cursors.append(cursor)
        self._loose.clear()
        excess = len(self._contents) - settings.stream.window
        if excess >= BLOCK:
            self._drop(excess)

    def _drop(self, excess: int) -> None:
        del self._contents[:excess], self._cursors[:excess]
        self.first += excess
        for key in [key for key in self._blocks if key[1] < self.first]:
            del self._blocks[key]

    def find(self, cursor: Cursor) -> int | None:
        """Return the place from which a reader goes on; None if that is not kept any more."""
        if not cursor.covers(self._cursors[0]):
            return None
        low, high = 0, len(self._contents)
        while low < high:  # both numbers of the topic's cursor only grow
            middle = (low + high) // 2
            if cursor.covers(self._cursors[middle + 1]):
                low = middle + 1
            else:
                high = middle
        return self.first + low

    def take(self, place: int, cursor: Cursor, rendering: Rendering) -> tuple[bytes, int]:
        """Return the frames from a place on, at most to the end of its block, and the place behind.

        Readers that have seen the logs in the topic's order share the bytes.
        """
        begin = place - self.first
        if cursor != self._cursors[begin]:
            return encode(self._contents[begin : begin + 1], cursor, rendering), place + 1
        stop = min(self.count, place - place % BLOCK + BLOCK)
        whole = stop - place == BLOCK
        kept = self._blocks if whole else self._loose
        if (rendering, place) not in kept:
            if len(self._loose) >= LOOSE:
                self._loose.clear()
            contents = self._contents[begin : stop - self.first]
            kept[rendering, place] = encode(contents, cursor, rendering)
        return kept[rendering, place], stop

    def cursor_at(self, place: int) -> Cursor:
        """Return where the topic stood before the content at a place."""
        return self._cursors[place - self.first]


class Reader:
    """How far one reader has come."""

    def __init__(self, cursor: Cursor, rendering: Rendering) -> None:
        """Stand at `cursor`."""
        self.cursor = cursor
        self._rendering = rendering
        self._place: int | None = None  # in the topic
        self._prefix = RETRY

    def take(self, topic: Topic) -> bytes | None:
        """Move on in the topic; None where that does not reach back to this reader's place.

        A reader who has seen the logs in another order passes over what it has. Where its cursor
        stays the same there is nothing more.
        """
        if self._place is None or self._place < topic.first:
            self._place = topic.find(self.cursor)
        if self._place is None:
            return None
        frames, before = b"", self.cursor
        while self.cursor == before and self._place < topic.count:
            frames, self._place = topic.take(self._place, self.cursor, self._rendering)
            reached = topic.cursor_at(self._place)
            self.cursor = Cursor(max(before.seq, reached.seq), max(before.n, reached.n))
        return self._opened(frames)

    def take_page(self, page: Page) -> bytes:
        """Move on over what was read from the logs for this reader alone."""
        frames = encode(page.contents, self.cursor, self._rendering)
        for content in page.contents:
            self.cursor = self.cursor.over(content)
        return self._opened(frames)

    def last_frame(self, end: Ended) -> bytes:
        """Return the frame that ends the stream, under an id of its own.

        Who has everything but this frame comes back for it.
        """
        seq, n = self.cursor.behind_the_end()
        return self._opened(f"id: {seq}-{n}\n{self._rendering.ended(end)}".encode())

    def _opened(self, frames: bytes) -> bytes:
        if not frames:
            return frames
        prefix, self._prefix = self._prefix, b""
        return prefix + frames
