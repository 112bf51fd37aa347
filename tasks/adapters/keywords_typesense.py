"""Keyword search with Typesense, ranked as BM25.

Typesense ranks by how many words of the query a passage holds and how near they are to one another;
a rare word counts as much as a common one. So it is asked how many passages hold each word, and for
candidates with all words together and with each alone; the ranking is made here.
"""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from typesense import Client
from typesense.configuration import NodeConfigDict
from typesense.exceptions import ObjectAlreadyExists, ObjectNotFound, TypesenseClientError

from config.settings import listed, settings
from models.errors import DomainError, Unavailable
from tasks.adapters.keywords import terms_of
from tasks.adapters.stems import stems_of
from tasks.refusals import IndexRefused
from tasks.tools import Hit, Passage

BATCH = 256  # passages per request: about half a megabyte
TOGETHER = 200  # candidates for all words together; a server gives 250 at most
PORT = 8108  # Typesense's own
SHOWN_CHARS = 300  # of a server's explanation
PASSING = (0, 408, 409, 429)  # and every 5xx; a 409 is another attempt at making the collection
K1, B = 1.2, 0.75  # of BM25; Robertson and Zaragoza (2009)


Parameters = dict[str, object]


@dataclass(slots=True)
class Candidate:
    """What ranking a passage takes: its place, its stems, and the terms that found it."""

    index: int
    stems: str
    terms: set[str | None] = field(default_factory=set)  # None: all words together

    @property
    def length(self) -> int:
        """The number of its words."""
        return self.stems.count(" ") + 1


class TypesenseKeywords:
    """Passages as documents with their stems; any word of a query finds a passage.

    A query may hold "phrases in quotes" and -words to leave out. A word that no passage holds may
    differ from one of theirs by a letter.
    """

    def __init__(self, client: Client | None = None) -> None:
        """Talk to the servers of the settings; nothing is sent before it is needed."""
        self._client = client or connect()

    def create(self, collection: str) -> None:
        """Make a collection, unless it is there. Raises Unavailable, IndexRefused."""
        with translated(), suppress(ObjectAlreadyExists):
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
        within: Parameters = {"collection": collection, "query_by": "stems", "prefix": False}
        within |= {"highlight_fields": "none", "sort_by": "_text_match:desc,index:asc"}
        if up_to_index is not None:
            within["filter_by"] = f"index:<={up_to_index}"
        without = "".join(f" -{quoted(term)}" for term in excluded)
        with translated():
            try:
                weights = self._weigh(within, wanted, without)
                found = self._candidates(within, list(weights), without, top_k)
                return self._passages(within, ranked(found, weights)[:top_k])
            except ObjectNotFound:
                return []

    def _weigh(self, within: Parameters, wanted: list[str], without: str) -> dict[str, float]:
        """Return those of the words and phrases that are there and tell something, with weights.

        What more than half of the passages hold tells nothing, unless there is nothing else.
        """
        each: list[Parameters] = [{"q": quoted(term) + without, "num_typos": 1} for term in wanted]
        every, *results = self._ask(within | {"per_page": 0}, [{"q": "*"}, *each])
        total = every["found"]
        held = {term: one["found"] for term, one in zip(wanted, results, strict=True)}
        held = {term: count for term, count in held.items() if count}
        telling = {term: count for term, count in held.items() if count <= total / 2} or held
        return {
            term: math.log(1 + (total - count + 0.5) / (count + 0.5))
            for term, count in telling.items()
        }

    def _candidates(
        self, within: Parameters, terms: list[str], without: str, top_k: int
    ) -> dict[str, Candidate]:
        """Return by id the passages that hold most of the words, and some that hold each alone."""
        searches: list[Parameters] = [
            {"q": quoted(term) + without, "num_typos": 1, "per_page": top_k} for term in terms
        ]
        if words := " ".join(term for term in terms if " " not in term):
            together: Parameters = {"q": words + without, "num_typos": 0, "per_page": TOGETHER}
            searches.append(together | {"drop_tokens_threshold": TOGETHER})
        found: dict[str, Candidate] = {}
        results = self._ask(within | {"include_fields": "id,index,stems"}, searches)
        for term, result in zip_longest(terms, results):
            for hit in result["hits"]:
                one = hit["document"]
                known = found.setdefault(one["id"], Candidate(one["index"], one["stems"]))
                known.terms.add(term)
        return found

    def _passages(self, within: Parameters, scores: list[tuple[str, float]]) -> list[Hit]:
        """Return the passages of these ids in this order, without those that have gone since."""
        if not scores:
            return []
        named = ",".join(f"`{id_}`" for id_, _ in scores)
        (result,) = self._ask(
            within | {"exclude_fields": "stems"},
            [{"q": "*", "filter_by": f"id:[{named}]", "sort_by": "", "per_page": len(scores)}],
        )
        found = {hit["document"]["id"]: hit["document"] for hit in result["hits"]}
        return [
            Hit(passage=Passage.model_validate(found[id_]), score=score)
            for id_, score in scores
            if id_ in found
        ]

    def _ask(self, common: Parameters, searches: list[Parameters]) -> list[Any]:
        """Return the results of several searches in one request. Raises ObjectNotFound."""
        asked: Any = {"searches": [common | one for one in searches]}
        results: list[Any] = self._client.multi_search.perform(asked)["results"] if searches else []
        for result in results:
            if result.get("code") == 404:
                raise ObjectNotFound
            if "error" in result:
                raise failure(result.get("code", 400), result["error"])
        return results

    def passages(self, collection: str) -> list[Passage]:
        """Return all passages of a collection, in the order of the text.

        Raises Unavailable, IndexRefused.
        """
        documents = self._client.collections[quote(collection, safe="")].documents
        with translated():
            try:
                lines = documents.export({"exclude_fields": "stems"}).splitlines()
            except ObjectNotFound:
                return []
        found = [Passage.model_validate_json(line) for line in lines]
        return sorted(found, key=lambda passage: passage.index)

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


def quoted(term: str) -> str:
    """Return a term as a query has it: phrases in quotes."""
    return f'"{term}"' if " " in term else term


def ranked(found: dict[str, Candidate], weights: dict[str, float]) -> list[tuple[str, float]]:
    """Return the ids of candidates with their scores by BM25, the earlier passage first at a tie.

    A word that Typesense found in a passage by another letter counts as being there once.
    """
    average = sum(one.length for one in found.values()) / max(len(found), 1)
    scores = dict.fromkeys(found, 0.0)
    for id_, one in found.items():
        slowness = K1 * (1 - B + B * one.length / average)
        for term, weight in weights.items():
            frequency = f" {one.stems} ".count(f" {term} ") or (term in one.terms)
            scores[id_] += weight * frequency * (K1 + 1) / (frequency + slowness)
    best = sorted(scores, key=lambda id_: (-scores[id_], found[id_].index))
    return [(id_, scores[id_]) for id_ in best if scores[id_] > 0]


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
