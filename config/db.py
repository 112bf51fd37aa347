"""One engine per process and one way to open a transaction."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlmodel import Session

from config.settings import settings


def sqlalchemy_url(url: str) -> str:
    """Return `url` (as libpq writes it) for SQLAlchemy's psycopg driver."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def libpq_url(url: str) -> str:
    """Return `url` as libpq and psycopg write it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


PING_AFTER_S = 1.0  # a ping is a round trip: connections in steady use go without


@cache
def engine() -> Engine:
    """Return this process's engine, opened on first use (in a worker: after the fork)."""
    made = create_engine(
        sqlalchemy_url(settings.database.url),
        pool_size=settings.database.pool_size,
        max_overflow=settings.database.pool_size,
        connect_args={
            "connect_timeout": settings.database.connect_timeout_s,
            "application_name": "longrun",
            "options": "-c timezone=utc",
        },
    )
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_when_idle)
    return made


def _note_use(_: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ping_when_idle(connection: Any, record: Any, _: Any) -> None:
    if time.monotonic() - record.info.get("used", time.monotonic()) < PING_AFTER_S:
        return
    dialect = engine().dialect
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        if dialect.is_disconnect(error, connection, None):
            raise InvalidatePoolError() from error
        raise


@contextmanager
def transaction() -> Iterator[Session]:
    """Yield a session that commits on a clean exit and rolls back on any exception."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def single_statement() -> Iterator[Connection]:
    """Yield a bare connection on which each statement is a transaction: one round trip."""
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as opened:
        yield opened


@contextmanager
def connection() -> Iterator[Connection]:
    """Yield a bare connection in one transaction, for Core statements that are run often."""
    with engine().begin() as opened:
        yield opened
