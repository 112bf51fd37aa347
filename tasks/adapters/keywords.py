"""Keyword search in Postgres' full text."""

from collections.abc import Sequence

from sqlalchemy import Text, cast, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY, insert

from models.indexes import keyword_passage as table
from tasks.adapters.vectors import reachable
from tasks.tools import Hit, Passage

# ts_rank_cd divided by 1 + log(length), then scaled to 0..1: normalisations 1 and 32.
RANKING = 1 | 32


class PgKeywords:
    """Collections of words in the table `keyword_passage`."""

    def create(self, collection: str) -> None:
        """Empty the collection; tables need no making."""
        self.drop(collection)

    def upsert(self, collection: str, passages: Sequence[Passage]) -> None:
        """Store passages; Postgres stems their words."""
        rows = [
            {
                "collection": collection,
                "id": passage.id,
                "place": passage.index,
                "text": passage.text,
                "meta": passage.meta,
            }
            for passage in passages
        ]
        if not rows:
            return
        new = insert(table)
        with reachable() as conn:
            conn.execute(
                new.on_conflict_do_update(
                    index_elements=["collection", "id"],
                    set_={name: new.excluded[name] for name in ("place", "text", "meta")},
                ),
                rows,
            )

    def search(
        self, collection: str, query: str, *, top_k: int, up_to_index: int | None = None
    ) -> list[Hit]:
        """Return passages that hold some of the words, those with more and rarer runs first."""
        every_word = func.plainto_tsquery(literal_column("'english'"), query)
        some_word = cast(func.replace(cast(every_word, Text), "&", "|"), TSQUERY)
        score = func.ts_rank_cd(table.c.words, some_word, RANKING)
        found = (
            select(table.c.id, table.c.text, table.c.place, table.c.meta, score.label("score"))
            .where(table.c.collection == collection, table.c.words.op("@@")(some_word))
            .order_by(score.desc(), table.c.place)
            .limit(top_k)
        )
        if up_to_index is not None:
            found = found.where(table.c.place <= up_to_index)
        with reachable() as conn:
            return [
                Hit(
                    passage=Passage(id=row.id, text=row.text, index=row.place, meta=row.meta),
                    score=row.score,
                )
                for row in conn.execute(found)
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
