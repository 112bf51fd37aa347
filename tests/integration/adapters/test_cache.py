import time

import pytest

from config.local import EmbeddedValkey
from tasks.adapters.cache import RedisCache
from tests.suites.storage import CacheSuite


class TestRedisCache(CacheSuite):
    @pytest.fixture
    def cache(self, redis_url: str) -> RedisCache:
        return RedisCache()


def test_a_value_is_forgotten_after_its_time(redis_url: str) -> None:
    cache = RedisCache()
    cache.put("key", "value", ttl_s=1)
    assert cache.get("key") == "value"
    time.sleep(1.1)
    assert cache.get("key") is None


def test_a_cache_without_redis_knows_nothing_and_hinders_nobody(valkey: EmbeddedValkey) -> None:
    cache = RedisCache()
    cache.put("key", "value", ttl_s=60)
    valkey.stop()
    assert cache.get("key") is None
    cache.put("key", "value", ttl_s=60)
