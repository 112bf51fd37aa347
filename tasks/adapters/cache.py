"""A cache in Redis, which forgets everything when Redis does."""

import hashlib

import redis

from config.redis import client


class RedisCache:
    """The tool `Cache`."""

    def get(self, key: str) -> str | None:
        """Return what was put there; None when it is gone, or Redis is."""
        try:
            found = client().get(_name(key))
        except (redis.RedisError, OSError):
            return None
        return found.decode() if isinstance(found, bytes) else None

    def put(self, key: str, value: str, *, ttl_s: int) -> None:
        """Keep a value for `ttl_s` seconds, unless Redis is away."""
        try:
            client().set(_name(key), value, ex=ttl_s)
        except (redis.RedisError, OSError):
            return


def _name(key: str) -> str:
    return f"longrun:cache:{hashlib.sha256(key.encode()).hexdigest()}"
