"""How much one address, and one person, may ask for.

Rates are counted in Redis, in sliding windows; while it is away everything passes, and is counted
as having passed unseen. Streams are counted where they are open, in this process.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal
from uuid import UUID

import prometheus_client
import redis
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool

from config.redis import pool
from config.settings import settings
from models.errors import Busy

Kind = Literal["address", "doors", "person", "chat", "uploads"]

TOLD: tuple[Kind, ...] = ("doors", "chat", "uploads")  # how much is left
PROBES = ("/health", "/ready", "/metrics")
AWAY_S = 1.0  # for so long nobody asks a Redis that did not answer

failed_open = prometheus_client.Counter(
    "longrun_limits_failed_open",
    "Requests that passed uncounted because Redis was away.",
    registry=None,
)
_away_until = 0.0
_open: Counter[UUID] = Counter()


class TooManyRequests(Busy):
    """Too many requests. Try again later."""

    code = "rate_limited"

    def __init__(self, standing: dict[str, str], reset_in_s: float) -> None:
        """Keep the headers that say how things stand."""
        super().__init__(retry_after_s=reset_in_s)
        self.headers = standing


class TooManyStreams(Busy):
    """Too many streams are open. Close one of them first."""

    code = "too_many_streams"


def is_exempt(method: str, path: str) -> bool:
    """Say whether a request is limited otherwise (streams, by how many are open) or not at all."""
    stream = method == "GET" and (path.endswith("/events") or path.startswith("/api/progress/"))
    return stream or path in PROBES


def count(kind: Kind, who: str) -> dict[str, str]:
    """Count a request, and return the headers that say what is left. Raises TooManyRequests.

    No headers where nothing is limited, where Redis is away, and for `address` and `person`, for
    which finding out would cost every request a second round trip.
    """
    global _away_until
    rate = _rate(kind)
    if rate is None:
        return {}
    if time.monotonic() < _away_until:
        failed_open.inc()
        return {}
    try:
        allowed = _limiter().hit(rate, kind, who)
        if allowed and kind not in TOLD:
            return {}
        reset_at, remaining = _limiter().get_window_stats(rate, kind, who)
    except (redis.RedisError, OSError):
        _away_until = time.monotonic() + AWAY_S
        failed_open.inc()
        return {}
    standing = {
        "X-RateLimit-Limit": str(rate.amount),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(math.ceil(reset_at)),
    }
    if not allowed:
        raise TooManyRequests(standing, max(reset_at - time.time(), 0.0))
    return standing


async def count_async(kind: Kind, who: str) -> None:
    """Do the same for who runs in the event loop. Raises TooManyRequests."""
    if _rate(kind) is not None:
        await run_in_threadpool(count, kind, who)


@contextmanager
def open_stream(owner: UUID) -> Iterator[None]:
    """Count somebody's stream for as long as it is open."""
    _open[owner] += 1
    try:
        yield
    finally:
        _open[owner] -= 1
        if not _open[owner]:
            del _open[owner]


def check_streams(owner: UUID) -> None:
    """Refuse who has as many streams open as they may. Raises TooManyStreams."""
    allowed = settings.limits.streams * _factor()
    if settings.limits.enabled and allowed and _open[owner] >= allowed:
        raise TooManyStreams(retry_after_s=AWAY_S, limit=allowed)


def _rate(kind: Kind) -> RateLimitItem | None:
    configured = settings.limits
    rate: str = getattr(configured, kind)
    return _parsed(rate, _factor()) if configured.enabled and rate else None


def _factor() -> int:
    return settings.limits.local_factor if settings.environment == "local" else 1


@cache
def _parsed(rate: str, factor: int) -> RateLimitItem:
    item = parse(rate)
    return type(item)(item.amount * factor, item.multiples)


@cache
def _limiter() -> SlidingWindowCounterRateLimiter:
    own = pool(settings.limits.timeout_s)
    storage = RedisStorage("redis://", connection_pool=own, key_prefix="longrun:limits")
    return SlidingWindowCounterRateLimiter(storage)
