"""Redis, or Valkey: the way in, and the announcements that make followers look at Postgres."""

import logging
import os
import threading
import time
from functools import cache
from uuid import UUID

import redis
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings import settings

logger = logging.getLogger(__name__)

GATHER_S = 0.01  # what happens to a job within so short a time is announced once
AWAY_S = 0.5
BACKLOG = 10_000  # jobs whose news wait to be announced; beyond that followers poll


def pool(timeout_s: float) -> "redis.ConnectionPool":
    """Return new connections that wait at most `timeout_s` for Redis, and do not try twice."""
    return redis.ConnectionPool.from_url(
        settings.redis.url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


@cache
def client() -> "redis.Redis":
    """Return this process's client. Socket timeouts are short: nobody waits for Redis."""
    return redis.Redis(connection_pool=pool(settings.redis.timeout_s))


def async_client() -> "aioredis.Redis":
    """Return a client for the running event loop, with the same timeouts."""
    return aioredis.Redis.from_url(
        settings.redis.url,
        socket_timeout=settings.redis.timeout_s,
        socket_connect_timeout=settings.redis.timeout_s,
        retry=AsyncRetry(NoBackoff(), 0),
    )


def channel(job_id: UUID) -> str:
    """Return the pub/sub channel on which a job's news are announced."""
    return f"longrun:job:{job_id}"


class _Announcer:
    """The thread that announces, of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.news: dict[UUID, None] = {}
        self.wake = threading.Condition()
        threading.Thread(target=self.run, name="announcer", daemon=True).start()

    def add(self, job_id: UUID) -> None:
        with self.wake:
            if len(self.news) < BACKLOG:
                self.news[job_id] = None
                self.wake.notify()

    def run(self) -> None:
        while True:
            with self.wake:
                while not self.news:
                    self.wake.wait()
            time.sleep(GATHER_S)
            with self.wake:
                batch, self.news = self.news, {}
            try:
                for job_id in batch:
                    client().publish(channel(job_id), b"")
            except (redis.RedisError, OSError):
                logger.debug("Redis is away; followers read the log by themselves")
                time.sleep(AWAY_S)


_lock = threading.Lock()
_announcer: _Announcer | None = None


def announce(job_id: UUID) -> None:
    """Tell followers that a job has news in Postgres. Never blocks, never raises."""
    global _announcer
    if _announcer is None or _announcer.pid != os.getpid():  # also after a fork
        with _lock:
            if _announcer is None or _announcer.pid != os.getpid():
                _announcer = _Announcer()
    _announcer.add(job_id)
