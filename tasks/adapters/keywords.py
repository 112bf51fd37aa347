"""Keyword search with Postgres full text, ranked as BM25.

`ts_rank_cd` alone knows nothing of rare words: in "what did Darcy say of Pemberley" it counts "say"
as much as "Pemberley". So each word of the query is ranked alone and weighted by how rare it is.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from models.indexes import keyword_passage as table
from tasks.adapters.postgres import connected, hit_of, passage_of, values_of
from tasks.tools import Hit, Passage

MAX_TERMS = 32  # of one query; each costs a pass over the passages that hold it
TERM = re.compile(r'(?P<excluded>(?<!\S)-)?(?:"(?P<phrase>[^"]+)"|(?P<word>[^\s"]+))')

# BM25 as in Robertson and Zaragoza (2009), k1 = 1.2, b = 0.75. A word's frequency is ts_rank_cd
# without normalisation, which is 0.1 per occurrence; a passage's length is its distinct words. The
# materialised `|| ''` unpacks each tsvector once instead of once for every word of the query.
RANKED = text("""
WITH term AS (
    SELECT word, phraseto_tsquery('english', word) AS query
    FROM unnest(CAST(:wanted AS text[])) AS word
), candidate AS MATERIALIZED (
    SELECT id, words || '' AS words FROM keyword_passage
    WHERE collection = :collection AND place <= :up_to
      AND words @@ (SELECT CAST(string_agg(CAST(query AS text), ' | ') AS tsquery)
                    FROM term WHERE numnode(query) > 0)
      AND NOT EXISTS (SELECT FROM unnest(CAST(:excluded AS text[])) AS word
                      WHERE words @@ phraseto_tsquery('english', word))
), total AS MATERIALIZED (
    SELECT count(*) AS passages FROM keyword_passage
    WHERE collection = :collection AND place <= :up_to
), matched AS (
    SELECT candidate.id, 10 * ts_rank_cd(words, query) AS frequency,
           length(words) / avg(length(words)) OVER () AS length,
           count(*) OVER (PARTITION BY word) AS holders
    FROM candidate JOIN term ON words @@ query
), scored AS (
    SELECT id, CAST(sum(ln(1 + (passages - holders + 0.5) / (holders + 0.5)) * frequency * 2.2
                        / (frequency + 1.2 * (0.25 + 0.75 * length))) AS float8) AS score
    FROM matched, total GROUP BY id
)
SELECT id, place, text, meta, score
FROM scored JOIN keyword_passage USING (id) WHERE collection = :collection
ORDER BY score DESC, place LIMIT :top_k
""")
# For what English full text leaves out, such as the names Will and May: reads every passage.
COUNTED = text("""
SELECT id, place, text, meta, CAST(regexp_count(text, :pattern, 1, 'i') AS float8) AS score
FROM keyword_passage
WHERE collection = :collection AND place <= :up_to AND text ~* :pattern
ORDER BY score DESC, place LIMIT :top_k
""")
ALL = 2**31 - 1  # beyond every place


class PgKeywords:
    """Passages in one table with a generated tsvector; any word of a query finds a passage.

    A query may hold "phrases in quotes" and -words to leave out.
    """

    def create(self, collection: str) -> None:
        """Make a collection, unless it is there: here, there is nothing to do."""

    def upsert(self, collection: str, passages: Sequence[Passage]) -> None:
        """Store passages. Safe to repeat. Raises Unavailable."""
        if not passages:
            return
        new = insert(table)
        stored = new.on_conflict_do_update(
            index_elements=["collection", "id"],
            set_={name: new.excluded[name] for name in ("place", "text", "meta")},
        )
        with connected() as conn:
            conn.execute(stored, [values_of(collection, passage) for passage in passages])

    def search(
        self, collection: str, query: str, *, top_k: int, up_to_index: int | None = None
    ) -> list[Hit]:
        """Return the best matches, best first; the score has no upper bound.

        A missing collection has no hits. Raises Unavailable.
        """
        wanted, excluded = terms_of(query)
        if not wanted:
            return []
        values: dict[str, Any] = {
            "collection": collection,
            "up_to": ALL if up_to_index is None else up_to_index,
            "top_k": top_k,
        }
        with connected() as conn:
            if _says_something(conn, wanted):
                terms = {"wanted": wanted, "excluded": excluded}
                return [hit_of(row) for row in conn.execute(RANKED, values | terms)]
            pattern = r"\m(" + "|".join(map(_literally, wanted)) + r")\M"
            return [hit_of(row) for row in conn.execute(COUNTED, values | {"pattern": pattern})]

    def passages(self, collection: str) -> list[Passage]:
        """Return all passages of a collection, in the order of the text. Raises Unavailable."""
        held: Select[Any] = select(table.c.id, table.c.place, table.c.text, table.c.meta).where(
            table.c.collection == collection
        )
        with connected() as conn:
            return [passage_of(row) for row in conn.execute(held.order_by(table.c.place))]

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        held = select(func.count()).where(table.c.collection == collection)
        with connected() as conn:
            return conn.scalar(held) or 0

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        with connected() as conn:
            conn.execute(delete(table).where(table.c.collection == collection))


def terms_of(query: str) -> tuple[list[str], list[str]]:
    """Return the words and phrases that a query asks for, and those it rules out."""
    wanted: dict[str, None] = {}
    excluded: dict[str, None] = {}
    for found in TERM.finditer(query.replace("\x00", " ")):
        term = found["phrase"] or found["word"]
        (excluded if found["excluded"] else wanted)[term.lower()] = None
    return list(wanted)[:MAX_TERMS], list(excluded)[:MAX_TERMS]


def _says_something(conn: Connection, wanted: list[str]) -> bool:
    """Say whether English full text keeps any of these words."""
    nodes = text("SELECT numnode(plainto_tsquery('english', :words)) > 0")
    return bool(conn.scalar(nodes, {"words": " ".join(wanted)}))


def _literally(word: str) -> str:
    """Return a word as Postgres' regular expressions write it."""
    return re.sub(r"(\W)", r"\\\1", word)
