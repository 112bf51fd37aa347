"""One engine per process and one way to open a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Connection, Engine, create_engine
from sqlmodel import Session

from config.settings import settings


def sqlalchemy_url(url: str) -> str:
    """Return `url` (as libpq writes it) for SQLAlchemy's psycopg driver."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def libpq_url(url: str) -> str:
    """Return `url` as libpq and psycopg write it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@cache
def engine() -> Engine:
    """Return this process's engine, opened on first use (in a worker: after the fork)."""
    return create_engine(
        sqlalchemy_url(settings.database.url),
        pool_size=settings.database.pool_size,
        max_overflow=settings.database.pool_size,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": settings.database.connect_timeout_s,
            "application_name": "longrun",
            "options": "-c timezone=utc",
        },
    )


@contextmanager
def transaction() -> Iterator[Session]:
    """Yield a session that commits on a clean exit and rolls back on any exception."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def connection() -> Iterator[Connection]:
    """Yield a bare connection in one transaction, for Core statements that are run often."""
    with engine().begin() as opened:
        yield opened
