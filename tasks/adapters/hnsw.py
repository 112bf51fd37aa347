"""One approximate index per large collection.

HNSW needs a fixed dimension, which a cast in the index's expression gives it, and an index over
all collections of a dimension would slow every ingest down and lose hits to the filter behind it. A
partial index per large collection does neither.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql
from sqlalchemy import Connection, text

from config.db import direct_engine

PREFIX = "ix_vector_passage_hnsw_"  # migrations leave indexes of this name alone


def index_name(collection: str) -> str:
    """Return the name of a collection's index."""
    return PREFIX + hashlib.sha256(collection.encode()).hexdigest()[:16]


def ensure(collection: str, dimension: int) -> None:
    """Build the collection's index unless it is there, or being built. Writers go on meanwhile."""
    name = index_name(collection)
    with _alone(name) as conn:
        if conn is None or _is_valid(conn, name):
            return
        _drop(conn, name)  # half built, by a process that was killed
        statement = sql.SQL(
            "CREATE INDEX CONCURRENTLY {} ON vector_passage"
            " USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops) WHERE collection = {}"
        ).format(sql.Identifier(name), sql.Literal(dimension), sql.Literal(collection))
        conn.exec_driver_sql(statement.as_string())


def remove(collection: str) -> None:
    """Drop the collection's index if there is one."""
    name = index_name(collection)
    with _autocommit() as conn:
        if _is_valid(conn, name) is not None:
            _drop(conn, name)


def _is_valid(conn: Connection, name: str) -> bool | None:
    """Say whether an index is complete; None when there is none."""
    found = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    valid: bool | None = conn.scalar(found, {"name": name})
    return valid


def _drop(conn: Connection, name: str) -> None:
    statement = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name))
    conn.exec_driver_sql(statement.as_string())


@contextmanager
def _alone(name: str) -> Iterator[Connection | None]:
    """Yield a connection, or None while another process works on the same index."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    with _autocommit() as conn:
        if not conn.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
            yield None
            return
        try:
            yield conn
        finally:
            conn.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


@contextmanager
def _autocommit() -> Iterator[Connection]:
    """Yield a connection outside transactions, where alone CONCURRENTLY works, with its session."""
    with direct_engine().connect() as conn:
        yield conn.execution_options(isolation_level="AUTOCOMMIT")
