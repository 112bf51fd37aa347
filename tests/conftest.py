"""One Postgres and one Valkey per test session, started when the first test asks for them."""

import os
from collections.abc import Iterator

import pytest
import redis

from config.local import EmbeddedPostgres, EmbeddedValkey
from tests import environment
from tests.database import TestDatabase

TEST_DATABASE_URL, TEST_REDIS_URL = environment.isolate()  # before config.settings is imported
_postgres = EmbeddedPostgres(environment.HERE, durable=False)
_valkey = EmbeddedValkey(environment.HERE)
_database = TestDatabase(TEST_DATABASE_URL or _postgres.url, environment.DATABASE)
os.environ["DATABASE_URL"] = _database.url
os.environ["REDIS_URL"] = TEST_REDIS_URL or _valkey.url


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[None]:
    environment.forget_dead_sessions()
    if not TEST_DATABASE_URL:
        _postgres.start()
    _database.create()
    _migrate()
    _database.keep()
    yield
    if TEST_DATABASE_URL:
        _database.drop()


def pytest_unconfigure() -> None:
    """Leave nothing running, whatever has happened in between."""
    if environment.HERE.exists():
        environment.remove(environment.HERE, _postgres, _valkey)


@pytest.fixture(scope="session")
def _valkey_server() -> None:
    environment.forget_dead_sessions()
    if not TEST_REDIS_URL:
        _valkey.start()


@pytest.fixture
def database_url(_postgres_server: None) -> Iterator[str]:
    """The URL of a migrated, empty database; the one that `settings.database.url` names."""
    from api import deps
    from config.db import engine
    from tasks import publisher

    deps.forget_known()
    publisher.forget_room()
    _database.renew()
    engine().dispose()  # of connections that were ended with the strays
    yield os.environ["DATABASE_URL"]
    engine().dispose()


@pytest.fixture
def redis_url(_valkey_server: None) -> str:
    """The URL of an empty Valkey; the one that `settings.redis.url` names."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()
    return os.environ["REDIS_URL"]


@pytest.fixture
def postgres(_postgres_server: None) -> Iterator[EmbeddedPostgres]:
    """The session's Postgres, to be stopped, killed or frozen; it runs again afterwards."""
    if TEST_DATABASE_URL:
        pytest.skip("TEST_DATABASE_URL names a server that is not ours to stop")
    yield _postgres
    _postgres.start()


@pytest.fixture
def valkey(redis_url: str) -> Iterator[EmbeddedValkey]:
    """The session's Valkey, to be stopped, killed or frozen; it runs again afterwards."""
    if TEST_REDIS_URL:
        pytest.skip("TEST_REDIS_URL names a server that is not ours to stop")
    yield _valkey
    _valkey.start()


def _migrate() -> None:
    from config.db import engine
    from config.local.migrations import upgrade

    upgrade()
    engine().dispose()
