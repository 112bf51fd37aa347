"""The writer of token streams: Postgres keeps them, Redis makes them live.

A step's loop over a model's answer never waits for either. One thread per process sends what has
come to Redis (the first piece at once, then every 25 ms or 128 characters) and about every second
stores it in Postgres. The rest is stored in the transaction that ends the step.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import UUID

import redis
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from config.db import connection
from config.redis import channel, client
from config.settings import settings
from models.jobs.streams import (
    END,
    RESET,
    TOKEN,
    Entry,
    first_number,
    store_entries,
    stream_key,
)  # fmt: skip
from models.jobs.transitions import Superseded
from tasks.failpoints import failpoint

logger = logging.getLogger(__name__)

REDIS_PAUSE_S = 2.0  # after a failure Redis is left alone for so long
AHEAD = 256  # pieces that a model may be ahead of the step's loop

# KEYS: stream, channel. ARGV: lifetime in seconds, the batch as JSON for the channel, then for each
# entry its number, kind and data. XADD itself refuses numbers that are not beyond the last one, so
# an older attempt and a repeated batch change nothing.
_APPEND = """
for i = 3, #ARGV, 3 do
  redis.pcall('XADD', KEYS[1], ARGV[i] .. '-0', 'k', ARGV[i + 1], 'd', ARGV[i + 2])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[2], ARGV[2])
"""


class Tokens:
    """A step's line to whoever watches: what is written here is seen at once and kept."""

    def __init__(
        self,
        job_id: UUID,
        step_id: UUID,
        *,
        epoch: int,
        attempt: int,
        check: Callable[[], None],
    ) -> None:
        """Write for one attempt; `check` raises when it has to end."""
        self.job_id, self.step_id, self.epoch = job_id, step_id, epoch
        self.lock = threading.Lock()
        self.unsent: list[Entry] = []
        self.unstored: list[Entry] = []
        self.superseded = False
        self.due = 0.0  # when to send next; monotonic
        self.store_due = time.monotonic() + settings.stream.compact_s
        self._check = check
        self._next = first_number(epoch)
        self._chars = 0
        if attempt > 1:
            self.emit(RESET, "")

    def write(self, pieces: Iterable[str]) -> str:
        """Stream the pieces of a model's answer and return the whole text.

        The step ends here when it is to stop, also while the model hangs.
        """
        source = _Ahead(pieces)
        text: list[str] = []
        try:
            while True:
                self._check()
                if self.superseded:
                    raise Superseded
                try:
                    piece = source.get(settings.engine.cancel_poll_s)
                except queue.Empty:
                    continue
                if piece is None:
                    return "".join(text)
                text.append(piece)
                self.emit(TOKEN, piece)
                failpoint("streamed")
        finally:
            source.close()

    def emit(self, kind: str, data: str) -> None:
        """Append one entry to the stream."""
        with self.lock:
            entry = Entry(self._next, kind, data)
            first = entry.n == first_number(self.epoch)
            self._next += 1
            self.unsent.append(entry)
            self.unstored.append(entry)
            self._chars += len(data)
            hurry = first or self._chars >= settings.stream.flush_chars
            at = time.monotonic()
            if hurry:
                self.due, self._chars = at, 0
            elif len(self.unsent) == 1:
                self.due = at + settings.stream.flush_s
            wake = hurry or len(self.unsent) == 1
        if wake:
            _flusher().add(self)

    def take_unsent(self) -> list[Entry]:
        """Return what Redis has not got yet, once."""
        with self.lock:
            batch, self.unsent = self.unsent, []
            self._chars = 0
            return batch

    def store(self, conn: Connection) -> int:
        """Store what Postgres has not got yet; return the last number. Raises Superseded.

        Safe to repeat until `stored` confirms that the transaction was committed.
        """
        with self.lock:
            batch = list(self.unstored)
        if not batch:
            return 0
        store_entries(conn, self.job_id, self.step_id, self.epoch, batch)
        return batch[-1].n

    def stored(self, last: int) -> None:
        """Forget entries up to `last`: their transaction was committed."""
        with self.lock:
            self.unstored = [one for one in self.unstored if one.n > last]
            self.store_due = time.monotonic() + settings.stream.compact_s

    def save(self) -> None:
        """Store in a transaction of its own. Raises Superseded, DBAPIError."""
        with connection() as conn:
            last = self.store(conn)
        self.stored(last)

    def end(self) -> None:
        """Append the end of the stream."""
        self.emit(END, "")

    def abandon(self) -> None:
        """Keep what was streamed by an attempt that did not succeed, if that can be done."""
        with suppress(Superseded, DBAPIError):
            self.save()

    def close(self) -> None:
        """Let go of the process's flusher, which sends what is left."""
        _flusher().remove(self)


class _Ahead:
    """Reads an iterator in a thread of its own, so that a hang does not hold up its reader."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = pieces
        self._ready: queue.Queue[str | BaseException | None] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def _run(self) -> None:
        ended: BaseException | None = None
        try:
            for piece in self._pieces:
                self._put(piece)
                if self._closed.is_set():
                    break
        except Exception as error:
            ended = error
        finally:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()
        self._put(ended)

    def _put(self, item: str | BaseException | None) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._ready.put(item, timeout=0.1)
                return

    def get(self, timeout_s: float) -> str | None:
        """Return the next piece, or None at the end. Raises queue.Empty, or the model's error."""
        item = self._ready.get(timeout=timeout_s)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop reading and end the request, if the iterator can be told from here."""
        self._closed.set()
        cancel = getattr(self._pieces, "cancel", None)
        if cancel is not None:
            cancel()


class _Flusher(threading.Thread):
    """Sends and stores for all writers of a process."""

    def __init__(self) -> None:
        super().__init__(name="flusher", daemon=True)
        self.pid = os.getpid()
        self.writers: set[Tokens] = set()
        self.wake = threading.Condition()
        self.redis_back = 0.0
        self.append = client().register_script(_APPEND)
        self.start()

    def add(self, writer: Tokens) -> None:
        with self.wake:
            self.writers.add(writer)
            self.wake.notify()

    def remove(self, writer: Tokens) -> None:
        self.send(writer)
        with self.wake:
            self.writers.discard(writer)

    def run(self) -> None:
        while True:
            with self.wake:
                self.wake.wait(self._pause())
                writers = list(self.writers)
            at = time.monotonic()
            for writer in writers:
                if writer.unsent and writer.due <= at:
                    self.send(writer)
                if writer.unstored and writer.store_due <= at:
                    self.keep(writer)

    def _pause(self) -> float | None:
        """Return how long there is nothing to do; None: until somebody writes."""
        dues = [w.due for w in self.writers if w.unsent]
        dues += [w.store_due for w in self.writers if w.unstored]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def send(self, writer: Tokens) -> None:
        batch = writer.take_unsent()
        if not batch or time.monotonic() < self.redis_back:
            return
        arguments: list[str | int] = [settings.stream.keep_s, json.dumps(batch)]
        for entry in batch:
            arguments += [entry.n, entry.kind, entry.data]
        try:
            self.append(keys=[stream_key(writer.job_id), channel(writer.job_id)], args=arguments)
        except (redis.RedisError, OSError):
            self.redis_back = time.monotonic() + REDIS_PAUSE_S
            logger.warning("Redis is away; followers read tokens from Postgres")

    def keep(self, writer: Tokens) -> None:
        writer.store_due = time.monotonic() + settings.stream.compact_s
        try:
            writer.save()
        except Superseded:
            writer.superseded = True
            with self.wake:
                self.writers.discard(writer)
        except DBAPIError:
            logger.warning("Postgres is away; %d entries wait", len(writer.unstored))


_lock = threading.Lock()
_current: _Flusher | None = None


def _flusher() -> _Flusher:
    global _current
    if _current is None or _current.pid != os.getpid():  # also after a fork
        with _lock:
            if _current is None or _current.pid != os.getpid():
                _current = _Flusher()
    return _current
