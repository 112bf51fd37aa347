"""One engine per process and one way to open a transaction.

`DATABASE_URL` may be a pooler that gives each transaction another connection, so nothing here
leaves anything behind in a session. What needs one goes by `direct_engine`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import (
    InterfaceError,
    InvalidatePoolError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from config.settings import settings


def sqlalchemy_url(url: str) -> str:
    """Return `url` (as libpq writes it) for SQLAlchemy's psycopg driver."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def libpq_url(url: str) -> str:
    """Return `url` as libpq and psycopg write it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


os.environ["PGTZ"] = "UTC"  # poolers know this startup parameter; `options` they may refuse


def direct_url() -> str:
    """Return where a connection keeps its session, past a pooler."""
    return settings.database.direct_url or settings.database.url


PING_AFTER_S = 1.0  # a ping is a round trip: connections in steady use go without


@cache
def engine() -> Engine:
    """Return this process's engine, opened on first use (in a worker: after the fork)."""
    made = create_engine(
        sqlalchemy_url(settings.database.url),
        pool_size=settings.database.pool_size,
        max_overflow=settings.database.pool_size,
        pool_use_lifo=True,  # the last one used has its statements prepared, and needs no ping
        hide_parameters=True,  # what people say is not for the logs
        connect_args=_arguments("longrun")
        | ({"prepare_threshold": None} if settings.database.direct_url else _NOTICED),
    )
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_when_idle)
    return made


def direct_engine() -> Engine:
    """Return an engine whose connections are real ones, not a pooler's: for what needs a session.

    They are opened anew each time.
    """
    return create_engine(
        sqlalchemy_url(direct_url()),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=_arguments("longrun-direct") | _NOTICED,
    )


def _arguments(name: str) -> dict[str, Any]:
    return {
        "connect_timeout": settings.database.connect_timeout_s,
        "application_name": name,
        "keepalives_idle": 5,  # seconds; a Postgres that is cut off is noticed after 11
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


# The same for Postgres, milliseconds where it waits for an answer: what a process that is cut off
# has locked is free again after a dozen seconds, not after the two hours of Linux. A pooler would
# refuse the connection for them, and has settings of its own.
_NOTICED = {
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=12000"
}


def is_away(error: Exception) -> bool:
    """Say whether Postgres may take the same transaction later, and has not refused what it says.

    An attempt to connect that fails invalidates no connection; a deadlock's victim may try again.
    """
    away = (OperationalError, InterfaceError, PoolTimeout)
    return isinstance(error, away) or getattr(error, "connection_invalidated", False)


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
