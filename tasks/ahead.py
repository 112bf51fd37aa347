"""Reads an iterator in a thread of its own, so that one that hangs does not hold up its reader."""

import queue
import threading
from collections.abc import Iterable
from contextlib import suppress

AHEAD = 256  # pieces that the iterator may be ahead of its reader
FULL_S = 0.1  # a reader that has gone is noticed so late


class Ahead:
    """The pieces of an iterator, waited for with a bound.

    After `close` the iterator is closed by its own thread, as soon as it gives another piece or
    fails: nothing can interrupt a generator from outside, so its source has timeouts of its own.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        """Begin to read at once."""
        self._pieces = pieces
        self._ready: queue.Queue[str | BaseException | None] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="ahead", daemon=True).start()

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # belongs to the reader, in the other thread
            self._put(error)
        else:
            self._put(None)

    def _read(self) -> None:
        try:
            for piece in self._pieces:
                self._put(piece)
                if self._closed.is_set():
                    break
        finally:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()

    def _put(self, item: str | BaseException | None) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._ready.put(item, timeout=FULL_S)
                return

    def get(self, timeout_s: float) -> str | None:
        """Return the next piece, or None at the end. Raises queue.Empty, or what was raised."""
        item = self._ready.get(timeout=timeout_s)
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Want no more pieces."""
        self._closed.set()
