"""The connection of the search stores that live in Postgres."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import SQLAlchemyError

from config.db import connection, is_away
from models.errors import Unavailable
from tasks.tools import Hit, Passage

STATEMENT_TIMEOUT_MS = 30_000  # a search takes milliseconds, a batch of passages a second


@contextmanager
def connected() -> Iterator[Connection]:
    """Yield a connection in a transaction of its own. Raises Unavailable."""
    with translated(), connection() as conn:
        conn.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
        yield conn


@contextmanager
def translated() -> Iterator[None]:
    """Say Unavailable for a Postgres that is away or overloaded; a bug of ours stays one."""
    try:
        yield
    except SQLAlchemyError as error:
        if is_away(error):
            raise Unavailable("The search store does not answer.") from error
        raise


def values_of(collection: str, passage: Passage) -> dict[str, Any]:
    """Return a passage's columns."""
    return {
        "collection": collection,
        "id": passage.id,
        "place": passage.index,
        "text": passage.text,
        "meta": passage.meta,
    }


def hit_of(row: Row[Any]) -> Hit:
    """Return the passage and score of a row of `id, place, text, meta, score`."""
    return Hit(passage=passage_of(row), score=row.score)


def passage_of(row: Row[Any]) -> Passage:
    """Return the passage of a row of `id, place, text, meta`."""
    return Passage(id=row.id, text=row.text, index=row.place, meta=row.meta)
