"""Semantic search in Postgres with pgvector."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from config.db import connection
from models.errors import Unavailable
from models.indexes import vector_passage as table
from tasks.tools import Hit, Passage


@contextmanager
def reachable() -> Iterator[Connection]:
    """Yield a transaction; a lost connection is Unavailable."""
    try:
        with connection() as conn:
            yield conn
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("The index cannot be reached.") from error
        raise


class PgVectors:
    """Collections of vectors in the table `vector_passage`."""

    def create(self, collection: str, dimension: int) -> None:
        """Empty the collection; tables need no making."""
        self.drop(collection)

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Store passages with their vectors."""
        rows = [
            {
                "collection": collection,
                "id": passage.id,
                "place": passage.index,
                "text": passage.text,
                "meta": passage.meta,
                "embedding": list(vector),
            }
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        if not rows:
            return
        new = insert(table)
        with reachable() as conn:
            conn.execute(
                new.on_conflict_do_update(
                    index_elements=["collection", "id"],
                    set_={
                        name: new.excluded[name] for name in ("place", "text", "meta", "embedding")
                    },
                ),
                rows,
            )

    def search(
        self,
        collection: str,
        vector: Sequence[float],
        *,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        """Return the nearest passages, exactly."""
        distance = table.c.embedding.cosine_distance(list(vector))
        query = (
            select(
                table.c.id, table.c.text, table.c.place, table.c.meta, distance.label("distance")
            )
            .where(table.c.collection == collection)
            .order_by(distance, table.c.place)
            .limit(top_k)
        )
        if up_to_index is not None:
            query = query.where(table.c.place <= up_to_index)
        with reachable() as conn:
            return [
                Hit(
                    passage=Passage(id=row.id, text=row.text, index=row.place, meta=row.meta),
                    score=1.0 - row.distance,
                )
                for row in conn.execute(query)
            ]

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds."""
        query = select(func.count()).where(table.c.collection == collection)
        with reachable() as conn:
            return int(conn.execute(query).scalar_one())

    def drop(self, collection: str) -> None:
        """Remove a collection."""
        with reachable() as conn:
            conn.execute(delete(table).where(table.c.collection == collection))
