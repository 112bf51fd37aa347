"""The writer of token streams: Postgres keeps them, Redis makes them live.

A step's loop over a model's answer waits for neither; two threads of the process do (`carriers`).
What Postgres has not got when the step ends is stored in the transaction that ends it.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from config.db import connection
from config.settings import settings
from models.jobs.claims import Superseded
from models.jobs.streams import END, RESET, TOKEN, Entry, first_number, store_entries
from tasks.carriers import keeper, sender
from tasks.failpoints import failpoint


class Tokens:
    """A step's line to whoever watches: what is written here is seen at once and kept."""

    def __init__(
        self, job_id: UUID, step_id: UUID, *, epoch: int, check: Callable[[], None]
    ) -> None:
        """Write for one attempt; `check` raises when it has to end."""
        self.job_id, self.step_id, self.epoch = job_id, step_id, epoch
        self.superseded = False
        self.trim_below = 0  # Redis need not keep entries before this number
        self._check = check
        self._lock = threading.Lock()
        self._entries: list[Entry] = []  # that Redis or Postgres has not got; without a gap
        self._last = self._sent = self._stored = first_number(epoch) - 1
        self._unsent_chars = 0
        self._send_due = self._may_send = self._store_due = 0.0  # monotonic seconds
        self._storing = threading.Lock()  # held until what was stored is noted here
        self._ending = False  # the step's own transaction stores the rest
        self._closed = False
        if epoch > 1:  # an attempt that was handed over or resumed has a first number again
            self.emit(RESET, "")

    def write(self, pieces: Iterable[str]) -> str:
        """Stream the pieces of a model's answer and return the whole text.

        The step ends here when it is to stop. It is looked for at each piece: an iterator that may
        keep us waiting gives "" meanwhile, as `LLM.stream` does.
        """
        text: list[str] = []
        try:
            for piece in pieces:
                self._check()
                if self.superseded:
                    raise Superseded
                if piece:
                    text.append(storable(piece))
                    self.emit(TOKEN, text[-1])
                    failpoint("streamed")
            return "".join(text)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def emit(self, kind: str, data: str) -> None:
        """Append one entry to the stream."""
        at = time.monotonic()
        with self._lock:
            wake_sender, wake_keeper = self._sent == self._last, self._stored == self._last
            self._last += 1
            self._entries.append(Entry(self._last, kind, storable(data)))
            self._unsent_chars += len(data)
            if wake_keeper:
                self._store_due = at + settings.stream.compact_s
            if wake_sender:
                self._send_due = max(at, self._may_send)
            if self._unsent_chars >= settings.stream.flush_chars or kind == END:
                wake_sender, self._send_due = True, at
        if wake_sender:
            sender().add(self)
        if wake_keeper:
            keeper().add(self)

    def send_due(self) -> float:
        """Return when there is something to send (monotonic seconds); infinity when nothing."""
        idle = self._closed or self.superseded or self._sent == self._last
        return math.inf if idle else self._send_due

    def store_due(self) -> float:
        """Return when there is something to store (monotonic seconds); infinity when nothing."""
        idle = self._ending or self._closed or self.superseded or self._stored == self._last
        return math.inf if idle else self._store_due

    def unsent(self) -> list[Entry]:
        """Return what Redis has not got."""
        with self._lock:
            return [one for one in self._entries if one.n > self._sent]

    def sent(self, last: int) -> None:
        """Note that Redis has got the entries up to `last`."""
        with self._lock:
            self._sent = max(self._sent, last)
            self._may_send = self._send_due = time.monotonic() + settings.stream.flush_s
            self._unsent_chars = 0
            self._forget()

    def not_sent(self) -> None:
        """Note that Redis is away: what Postgres has need not go there any more."""
        self.sent(self._stored)

    def store(self, conn: Connection) -> int:
        """Store what Postgres has not got; return the last number.

        Raises Superseded. Safe to repeat.
        """
        with self._lock:
            batch = [one for one in self._entries if one.n > self._stored]
        if not batch:
            return self._stored
        store_entries(conn, self.job_id, self.step_id, self.epoch, batch)
        return batch[-1].n

    def save(self) -> None:
        """Store in a transaction of its own, unless the step's does.

        Raises Superseded, SQLAlchemyError. What was stored the time before is then cut from Redis;
        the rest is at hand for readers who lose their connection for a moment.
        """
        with self._storing:
            if self._ending:
                return
            self._store_due = time.monotonic() + settings.stream.compact_s
            with connection() as conn:
                last = self.store(conn)
            with self._lock:
                self.trim_below, self._stored = self._stored + 1, last
                self._forget()

    def _forget(self) -> None:
        done = min(self._sent, self._stored)
        self._entries = [one for one in self._entries if one.n > done]

    def end(self) -> None:
        """Append the end of the stream; from now on only the caller's transaction stores it."""
        self.emit(END, "")
        with self._storing:
            self._ending = True

    def abandon(self) -> None:
        """Keep what was streamed by an attempt that did not succeed, if that can be done."""
        self._ending = False
        with suppress(Superseded, SQLAlchemyError):
            self.save()

    def close(self) -> None:
        """Be done: Postgres has the whole stream, or never will."""
        self._ending = self._closed = True


def storable(text: str) -> str:
    """Return text without what Postgres refuses: NUL and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return (
        text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )
