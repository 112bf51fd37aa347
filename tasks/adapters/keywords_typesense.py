"""Keyword search with Typesense, ranked as BM25.

Typesense ranks by how many words of the query a passage holds and how near they are to one another;
a rare word counts as much as a common one. So it is asked for candidates, for all words together
and for each alone, and for how many passages hold each; the ranking is made here.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from typesense import Client
from typesense.configuration import NodeConfigDict
from typesense.exceptions import ObjectNotFound, TypesenseClientError

from config.settings import listed, settings
from models.errors import DomainError, Unavailable
from tasks.adapters.keywords import terms_of
from tasks.adapters.stems import stems_of
from tasks.refusals import IndexRefused
from tasks.tools import Hit, Passage

BATCH = 256  # passages per request: about half a megabyte
TOGETHER = 100  # candidates for all words of a query together
ALONE = 3  # candidates for each word alone, in multiples of top_k
PORT = 8108  # Typesense's own
SHOWN_CHARS = 300  # of a server's explanation
PASSING = (0, 408, 409, 429)  # and every 5xx; a 409 is another attempt at making the collection
K1, B = 1.2, 0.75  # of BM25; Robertson and Zaragoza (2009)


class TypesenseKeywords:
    """Passages as documents with their stems; any word of a query finds a passage.

    A query may hold "phrases in quotes" and -words to leave out. A word that no passage holds may
    differ from one of theirs by a letter.
    """

    def __init__(self, client: Client | None = None) -> None:
        """Talk to the servers of the settings; nothing is sent before it is needed."""
        self._client = client or connect()

    def create(self, collection: str) -> None:
        """Make an empty collection, replacing one of that name. Safe to repeat.

        Raises Unavailable, IndexRefused.
        """
        self.drop(collection)
        with translated():
            self._client.collections.create(
                {
                    "name": collection,
                    "fields": [
                        {"name": "stems", "type": "string"},
                        {"name": "index", "type": "int32"},
                    ],
                }
            )

    def upsert(self, collection: str, passages: Sequence[Passage]) -> None:
        """Store passages. Safe to repeat. Raises Unavailable, IndexRefused."""
        documents = self._client.collections[quote(collection, safe="")].documents
        for start in range(0, len(passages), BATCH):
            lines = [json.dumps(document_of(one)) for one in passages[start : start + BATCH]]
            with translated():
                told = documents.import_("\n".join(lines), {"action": "upsert"})
            for answer in map(json.loads, told.splitlines()):
                if not answer["success"]:
                    raise failure(answer.get("code", 400), answer.get("error", ""))

    def search(
        self, collection: str, query: str, *, top_k: int, up_to_index: int | None = None
    ) -> list[Hit]:
        """Return the best matches, best first; the score has no upper bound.

        A missing collection has no hits. Raises Unavailable, IndexRefused.
        """
        wanted, excluded = map(stemmed, terms_of(query))
        if not wanted:
            return []
        common = {"collection": collection, "query_by": "stems", "highlight_fields": "none"}
        if up_to_index is not None:
            common["filter_by"] = f"index:<={up_to_index}"
        asked: Any = {"searches": [common | one for one in searches_for(wanted, excluded, top_k)]}
        with translated():
            told: list[Any] = self._client.multi_search.perform(asked)["results"]
        for result in told:
            if result.get("code") == 404:
                return []
            if "error" in result:
                raise failure(result.get("code", 400), result["error"])
        return ranked(told, wanted)[:top_k]

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        with translated():
            try:
                held: Any = self._client.collections[quote(collection, safe="")].retrieve()
            except ObjectNotFound:
                return 0
        return int(held["num_documents"])

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        with translated():
            try:
                self._client.collections[quote(collection, safe="")].delete()
            except ObjectNotFound:
                return


def connect() -> Client:
    """Return a client for the servers of the settings."""
    urls = listed(settings.typesense.url)
    return Client(
        {
            "nodes": [node(url) for url in urls],
            "api_key": settings.typesense.api_key.get_secret_value(),
            "connection_timeout_seconds": settings.typesense.timeout_s,
            "num_retries": len(urls) - 1,  # each node once; later tries are the engine's
            "retry_interval_seconds": 0.0,
        }
    )


def node(url: str) -> NodeConfigDict:
    """Return a server's address in the client's terms."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "",
        "port": parts.port or PORT,
        "path": parts.path.rstrip("/"),
        "protocol": parts.scheme,
    }


def document_of(passage: Passage) -> dict[str, Any]:
    """Return a passage as it is stored; only its stems and its place are indexed."""
    return passage.model_dump() | {"stems": " ".join(stems_of(passage.text))}


def stemmed(terms: Sequence[str]) -> list[str]:
    """Return words and phrases by their stems, each once, without those that hold no word."""
    joined = [" ".join(stems_of(term)) for term in terms]
    return list(dict.fromkeys(term for term in joined if term))


def searches_for(
    wanted: Sequence[str], excluded: Sequence[str], top_k: int
) -> list[dict[str, object]]:
    """Return the searches: for the number of passages, for all words together, for each alone."""
    without = "".join(f" -{quoted(term)}" for term in excluded)
    words = " ".join(term for term in wanted if " " not in term) or quoted(wanted[0])
    order = "_text_match:desc,index:asc"
    return [
        {"q": "*", "per_page": 0},
        {
            "q": words + without,
            "per_page": TOGETHER,
            "num_typos": 0,
            "prefix": False,
            "sort_by": order,
            "drop_tokens_threshold": TOGETHER,
        },
        *(
            {
                "q": quoted(term) + without,
                "per_page": ALONE * top_k,
                "num_typos": 1,
                "prefix": False,
                "sort_by": order,
            }
            for term in wanted
        ),
    ]


def quoted(term: str) -> str:
    """Return a term as a query has it: phrases in quotes."""
    return f'"{term}"' if " " in term else term


def ranked(results: Sequence[Any], wanted: Sequence[str]) -> list[Hit]:
    """Return all candidates by BM25, the earlier passage first among equals.

    `results` are those of `searches_for`. A word that Typesense found by a letter less or more
    counts as being there once.
    """
    every, together, *alone = results
    documents = {
        hit["document"]["id"]: hit["document"]
        for found in (together, *alone)
        for hit in found["hits"]
    }
    lengths = {id_: one["stems"].count(" ") + 1 for id_, one in documents.items()}
    average = sum(lengths.values()) / max(len(lengths), 1)
    scores = dict.fromkeys(documents, 0.0)
    for term, found in zip(wanted, alone, strict=True):
        rarity = math.log(1 + (every["found"] - found["found"] + 0.5) / (found["found"] + 0.5))
        holders = {hit["document"]["id"] for hit in found["hits"]}
        for id_, one in documents.items():
            frequency = f" {one['stems']} ".count(f" {term} ") or id_ in holders
            damped = frequency + K1 * (1 - B + B * lengths[id_] / average)
            scores[id_] += rarity * frequency * (K1 + 1) / damped
    hits = [
        Hit(passage=Passage.model_validate(documents[id_]), score=score)
        for id_, score in scores.items()
        if score > 0
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.index))


@contextmanager
def translated() -> Iterator[None]:
    """Say Unavailable for what may pass, and IndexRefused for what will not."""
    try:
        yield
    except TypesenseClientError as error:
        status, *told = error.args
        raise failure(status, " ".join(map(str, told))) from error
    except httpx.HTTPError as error:
        raise Unavailable("Typesense does not answer.") from error


def failure(status: int, told: str) -> DomainError:
    """Return the error for an answer of Typesense that is none."""
    if status >= 500 or status in PASSING:
        return Unavailable(f"Typesense failed: {status}.")
    return IndexRefused(f"Typesense refused: {status} {' '.join(told.split())}"[:SHOWN_CHARS])
