"""The two threads of a process that carry streams away: to Redis, and to Postgres.

They are separate so that a slow commit never holds up what somebody is reading at the moment.
"""

import json
import logging
import math
import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import redis
from sqlalchemy.exc import SQLAlchemyError

from config.redis import channel, client
from config.settings import settings
from models.jobs.claims import Superseded
from models.jobs.streams import Entry, stream_key

if TYPE_CHECKING:
    from tasks.streams import Tokens

logger = logging.getLogger(__name__)

REDIS_PAUSE_S = 1.0  # after a failure Redis is left alone for so long

# KEYS: stream, channel. ARGV: lifetime in seconds, number below which to trim, the batch as JSON
# for the channel, then number, kind and data of each entry. XADD refuses numbers that are not
# beyond the last one, so an older attempt and a repeated batch add nothing and tell nobody.
_APPEND = """
local added = false
for i = 4, #ARGV, 3 do
  local id = redis.pcall('XADD', KEYS[1], ARGV[i] .. '-0', 'k', ARGV[i + 1], 'd', ARGV[i + 2])
  added = added or type(id) == 'string'
end
if added then
  redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  redis.call('PUBLISH', KEYS[2], ARGV[3])
end
"""


class _Carrier(threading.Thread):
    """Does something for each writer when it is due."""

    def __init__(self) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.writers: set[Tokens] = set()
        self.wake = threading.Condition()
        self.start()

    def add(self, writer: "Tokens") -> None:
        """Look after a writer until nothing of it is due any more."""
        with self.wake:
            self.writers.add(writer)
            self.wake.notify()

    def run(self) -> None:
        while True:
            with self.wake:
                self.writers = {one for one in self.writers if self.due(one) < math.inf}
                first = min(map(self.due, self.writers), default=math.inf)
                if first > time.monotonic():
                    pause = None if first == math.inf else first - time.monotonic()
                    self.wake.wait(pause)
                at = time.monotonic()
                due = [one for one in self.writers if self.due(one) <= at]
            if due:
                self.carry(due)

    @abstractmethod
    def due(self, writer: "Tokens") -> float:
        """Return when to carry next for a writer (monotonic seconds); infinity: nothing is left."""

    @abstractmethod
    def carry(self, writers: Sequence["Tokens"]) -> None:
        """Carry for the writers that are due."""


class _Sender(_Carrier):
    """Takes new entries to Redis, all writers in one round trip."""

    def due(self, writer: "Tokens") -> float:
        return writer.send_due()

    def carry(self, writers: Sequence["Tokens"]) -> None:
        batches = [(one, batch) for one in writers if (batch := one.unsent())]
        pipe = client().pipeline(transaction=False)
        for writer, batch in batches:
            pipe.eval(_APPEND, 2, *_arguments(writer, batch))
        try:
            pipe.execute()
        except (redis.RedisError, OSError) as error:
            logger.warning("Redis is away (%s); followers read from Postgres", error)
            for writer, _ in batches:
                writer.not_sent()
            time.sleep(REDIS_PAUSE_S)
        else:
            for writer, batch in batches:
                writer.sent(batch[-1].n)


def _arguments(writer: "Tokens", batch: Sequence[Entry]) -> list[Any]:
    told = json.dumps(batch, ensure_ascii=False, separators=(",", ":"))
    keys = [stream_key(writer.job_id), channel(writer.job_id)]
    fields = [field for entry in batch for field in entry]
    return [*keys, settings.stream.keep_s, writer.trim_below, told, *fields]


class _Keeper(_Carrier):
    """Takes entries to Postgres."""

    def due(self, writer: "Tokens") -> float:
        return writer.store_due()

    def carry(self, writers: Sequence["Tokens"]) -> None:
        for writer in writers:
            try:
                writer.save()
            except Superseded:
                writer.superseded = True
            except SQLAlchemyError as error:
                logger.warning("a stream of job %s waits for Postgres: %s", writer.job_id, error)


_lock = threading.Lock()
_threads: tuple[_Sender, _Keeper] | None = None


def _current() -> tuple[_Sender, _Keeper]:
    global _threads
    with _lock:
        if _threads is None or not all(one.is_alive() for one in _threads):  # as after a fork
            _threads = _Sender(), _Keeper()
        return _threads


def sender() -> _Carrier:
    """Return this process's thread that talks to Redis."""
    return _current()[0]


def keeper() -> _Carrier:
    """Return this process's thread that talks to Postgres."""
    return _current()[1]
