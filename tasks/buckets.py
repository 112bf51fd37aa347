"""How often a provider may be asked: a bucket of requests and one of tokens, for all workers.

A call takes from both in one Lua call, also what is not there yet; whoever is in debt waits for its
own place in line. While Redis is away everything passes, and is counted as having passed.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import redis
from sqlalchemy.exc import SQLAlchemyError

from config.db import transaction
from config.redis import pool
from config.settings import settings
from models.counters import count
from models.errors import Unavailable
from tasks.progress import RateLimited

logger = logging.getLogger(__name__)

FAILED_OPEN = "provider_limits_failed_open"  # a counter's name
SPAN_S = 10.0  # a bucket holds what flows in within it, so a minute never sees much over its limit
AWAY_S = 1.0  # for so long nobody asks a Redis that did not answer
KEPT_S = 3600  # longer than any bucket takes to be full again, which a forgotten one is

# KEYS: bucket. ARGV: requests a second, their bucket's size, the same of tokens (0: no limit), the
# call's tokens, seconds that may be waited. `at` is when the levels held; a refusal of the
# provider's puts it into the future. A call larger than its bucket takes a whole one.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local known = redis.call('HMGET', KEYS[1], 'at', 'calls', 'tokens')
local at = math.max(tonumber(known[1]) or now, now)
local passed = at - (tonumber(known[1]) or at)
local wait, left = 0, {}
for i, cost in ipairs({1, tonumber(ARGV[5])}) do
  local rate, size = tonumber(ARGV[i * 2 - 1]), tonumber(ARGV[i * 2])
  if rate > 0 then
    local level = known[1] and tonumber(known[i + 1]) or size
    left[i] = math.min(size, level + passed * rate) - math.min(cost, size)
    wait = math.max(wait, -left[i] / rate)
  end
end
wait = wait + at - now
if wait > tonumber(ARGV[6]) then
  return {0, tostring(wait)}
end
redis.call('HSET', KEYS[1], 'at', at, 'calls', left[1] or 0, 'tokens', left[2] or 0)
redis.call('EXPIRE', KEYS[1], ARGV[7])
return {1, tostring(wait)}
"""
# KEYS: bucket. ARGV: requests and tokens to put back (negative: to take after all).
_CORRECT = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBYFLOAT', KEYS[1], 'calls', ARGV[1])
  redis.call('HINCRBYFLOAT', KEYS[1], 'tokens', ARGV[2])
end
"""
# KEYS: bucket. ARGV: seconds for which nothing flows in, how long to remember.
_EMPTY = """
local clock = redis.call('TIME')
local until_ = clock[1] + clock[2] / 1000000 + ARGV[1]
local at = math.max(tonumber(redis.call('HGET', KEYS[1], 'at')) or 0, until_)
redis.call('HSET', KEYS[1], 'at', at, 'calls', 0, 'tokens', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many requests and tokens may go out per minute under one name; 0: any number."""

    name: str
    rpm: int
    tpm: int

    @property
    def sizes(self) -> tuple[float, float]:
        """How much the two buckets hold, at least one call each."""
        share = SPAN_S / 60
        return max(1.0, self.rpm * share), max(1.0, self.tpm * share)


@dataclass(slots=True)
class Taken:
    """What a call has taken; it is put right once the call's tokens are known."""

    limit: Limit | None
    tokens: float

    def correct(self, tokens: int) -> None:
        """Put back what the call did not need, or take what it needed beyond."""
        if self.limit is not None and self.limit.tpm and self.tokens != tokens:
            _correct(self.limit, 0, self.tokens - tokens)

    def put_back(self) -> None:
        """Put everything back: there is no call."""
        if self.limit is not None:
            _correct(self.limit, 1, self.tokens)


def limit_of(model: str) -> Limit | None:
    """Return the limit of a model, or of its provider, by PROVIDERS_LIMITS."""
    known = _parsed(settings.providers.limits)
    return known.get(model) or known.get(model.partition("/")[0])


@cache
def _parsed(written: str) -> dict[str, Limit]:
    found = {}
    for one in filter(None, (part.strip() for part in written.split(";"))):
        name, _, rates = one.rpartition("=")
        numbers = {rate[-3:]: int(rate[:-3]) for rate in rates.split(",")}
        found[name] = Limit(name, numbers.get("rpm", 0), numbers.get("tpm", 0))
    return found


def take(model: str, tokens: int, *, check: Callable[[], None] | None) -> Taken:
    """Wait for a call's turn. `check` raises when the wait has to end; what was taken goes back.

    Raises RateLimited where the wait is longer than PROVIDERS_MAX_WAIT_S: the step is given back
    until then. Without a `check`, outside of steps, it is Unavailable.
    """
    limit = limit_of(model)
    if limit is None:
        return Taken(None, 0)
    taken = Taken(limit, min(tokens, limit.sizes[1]))
    wait_s = _take(limit, tokens)
    if wait_s is None:
        return Taken(None, 0)
    if wait_s > settings.providers.max_wait_s:
        told = f"{limit.name} is at its limit."
        if check is None:
            raise Unavailable(told, retry_after_s=wait_s)
        raise RateLimited(told, retry_after_s=wait_s)
    try:
        _wait(wait_s, check)
    except BaseException:
        taken.put_back()
        raise
    return taken


def _wait(wait_s: float, check: Callable[[], None] | None) -> None:
    until = time.monotonic() + wait_s
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, settings.engine.cancel_poll_s))
        if check is not None:
            check()


def _take(limit: Limit, tokens: int) -> float | None:
    """Return how long to wait; nothing was taken if that is longer than anybody waits, or None."""
    requests_size, tokens_size = limit.sizes
    rates = (limit.rpm / 60, requests_size, limit.tpm / 60, tokens_size)
    bounds = (tokens, settings.providers.max_wait_s, KEPT_S)
    answer = _ask(_TAKE, limit, *rates, *bounds)
    return None if answer is None else float(answer[1])


def _correct(limit: Limit, requests: float, tokens: float) -> None:
    _ask(_CORRECT, limit, requests, tokens)


def empty(model: str, pause_s: float) -> None:
    """Let nobody ask for a while: the provider has refused, and said when to come back."""
    if limit := limit_of(model):
        _ask(_EMPTY, limit, pause_s, math.ceil(KEPT_S + pause_s))


@cache
def _client() -> "redis.Redis":
    return redis.Redis(connection_pool=pool(settings.limits.timeout_s))


_lock = threading.Lock()
_away_until = 0.0
_told_at = 0.0
_passed = 0  # calls that were not counted, and not told of yet


def _ask(script: str, limit: Limit, *arguments: float) -> Any:
    """Run a script on a limit's bucket; None while Redis is away."""
    global _away_until
    if time.monotonic() >= _away_until:
        try:
            return cast(Any, _client().eval(script, 1, _key(limit), *map(str, arguments))) or ()
        except (redis.RedisError, OSError) as error:
            logger.warning("Redis is away (%s); nobody counts calls of models", error)
            _away_until = time.monotonic() + AWAY_S
    if script is _TAKE:
        _note_passed()
    return None


def _key(limit: Limit) -> str:
    return f"longrun:bucket:{limit.name}"


def _note_passed() -> None:
    """Count a call that passed unseen; Postgres is told once in a while."""
    global _passed, _told_at
    with _lock:
        _passed += 1
        if time.monotonic() - _told_at < AWAY_S:
            return
        amount, _passed, _told_at = _passed, 0, time.monotonic()
    try:
        with transaction() as session:
            count(session, FAILED_OPEN, amount)
    except SQLAlchemyError:
        with _lock:
            _passed += amount
