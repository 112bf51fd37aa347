"""Semantic search with pgvector.

A collection is searched exactly: its rows are one range of the primary key, and the cosines of a
few thousand passages are computed in milliseconds, without an index to build on every ingest and
without a passage missed. From LARGE passages on, a collection gets an HNSW index of its own.
"""

from collections.abc import Sequence
from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Select, bindparam, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from models.indexes import vector_passage as table
from tasks.adapters import hnsw
from tasks.adapters.postgres import connected, hit_of, translated, values_of
from tasks.tools import Hit, Passage

LARGE = 20_000  # passages; exact search over so many 512-dimensional halfvecs takes about 20 ms
EF_SEARCH = 100  # HNSW candidates per search; pgvector's 40 loses some of the top 10


class PgVectors:
    """Vectors as halfvecs (11 bits of mantissa: ample for a cosine) in one table."""

    def __init__(self, large: int = LARGE) -> None:
        """Index collections approximately from `large` passages on."""
        self._large = large

    def create(self, collection: str, dimension: int) -> None:
        """Make a collection, unless it is there: here, there is nothing to do."""

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Store passages with their vectors. Safe to repeat. Raises Unavailable."""
        if not passages:
            return
        rows = [
            values_of(collection, passage) | {"embedding": list(vector)}
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        new = insert(table)
        stored = new.on_conflict_do_update(
            index_elements=["collection", "id"],
            set_={name: new.excluded[name] for name in ("place", "text", "meta", "embedding")},
        )
        with connected() as conn:
            conn.execute(stored, rows)
        if self.count(collection) >= self._large:
            with translated():
                hnsw.ensure(collection, len(vectors[0]))

    def search(
        self,
        collection: str,
        vector: Sequence[float],
        *,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        """Return the nearest passages, nearest first; score is the cosine, -1..1.

        A missing collection has no hits. Raises Unavailable.
        """
        nearest = nearest_to(vector, collection, up_to_index).limit(top_k)
        with connected() as conn:
            conn.exec_driver_sql("SET LOCAL hnsw.iterative_scan = strict_order")
            conn.exec_driver_sql(f"SET LOCAL hnsw.ef_search = {max(EF_SEARCH, 2 * top_k)}")
            return [hit_of(row) for row in conn.execute(nearest)]

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        held = select(func.count()).where(table.c.collection == collection)
        with connected() as conn:
            return conn.scalar(held) or 0

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        with translated():
            hnsw.remove(collection)
        with connected() as conn:
            conn.execute(delete(table).where(table.c.collection == collection))


def nearest_to(
    vector: Sequence[float], collection: str, up_to_index: int | None = None
) -> Select[Any]:
    """Return the query for the passages nearest to `vector`, ties in the order of the text."""
    # The cast is the expression of `hnsw`'s indexes.
    distance = cast(table.c.embedding, HALFVEC(len(vector))).cosine_distance(list(vector))
    # The collection stands in the statement as a literal: only so can the planner see that the
    # partial index of a large collection applies.
    found = select(
        table.c.id, table.c.place, table.c.text, table.c.meta, (1 - distance).label("score")
    ).where(table.c.collection == bindparam("collection", collection, literal_execute=True))
    if up_to_index is not None:
        found = found.where(table.c.place <= up_to_index)
    return found.order_by(distance, table.c.place)
