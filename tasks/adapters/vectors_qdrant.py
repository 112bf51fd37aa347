"""Semantic search with Qdrant.

A collection here is a collection there. Qdrant compares exactly below 10 MB of vectors, which is
more than most books have, and builds its own approximate index beyond.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from typing import TypeVar
from uuid import NAMESPACE_OID, uuid5

from pydantic import ValidationError
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import (
    Distance,
    FieldCondition,
    Filter,
    PayloadSchemaType,
    PointStruct,
    Range,
    ScoredPoint,
    VectorParams,
)

from config.retry_after import retry_after_s
from config.settings import settings
from models.errors import Unavailable
from tasks.refusals import IndexRefused
from tasks.tools import Hit, Passage

BATCH = 128  # points per request: at 3,072 dimensions 8 MB of JSON, of the 32 MB a server takes
PASSING = (408, 409, 429)  # and every 5xx; a 409 is another attempt at making the same collection
SHOWN_CHARS = 300  # of a server's explanation
NOT_UNDERSTOOD = "What answers at QDRANT_URL does not speak Qdrant's language."

T = TypeVar("T")


class QdrantVectors:
    """Vectors as points, whose payload is the passage."""

    def __init__(self, client: QdrantClient | None = None) -> None:
        """Talk to the server of the settings; nothing is sent before it is needed."""
        self._client = client or connect()

    def create(self, collection: str, dimension: int) -> None:
        """Make a collection, unless it is there. Raises Unavailable, IndexRefused."""
        vectors = VectorParams(size=dimension, distance=Distance.COSINE)
        with translated():
            if not self._client.collection_exists(collection):
                self._client.create_collection(collection, vectors_config=vectors)
            # A server in strict mode filters by indexed fields only.
            self._client.create_payload_index(collection, "index", PayloadSchemaType.INTEGER)

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Store passages with their vectors. Safe to repeat. Raises Unavailable, IndexRefused."""
        points = [
            PointStruct(
                id=point_id(collection, passage), vector=list(vector), payload=passage.model_dump()
            )
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        for start in range(0, len(points), BATCH):
            with translated():
                self._client.upsert(collection, points[start : start + BATCH], wait=True)

    def search(
        self,
        collection: str,
        vector: Sequence[float],
        *,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        """Return the nearest passages, nearest first; score is the cosine, -1..1.

        A missing collection has no hits. Raises Unavailable, IndexRefused.
        """
        horizon = None if up_to_index is None else up_to(up_to_index)

        def nearest() -> list[Hit]:
            found = self._client.query_points(
                collection, query=list(vector), query_filter=horizon, limit=top_k
            )
            return [hit_of(point) for point in found.points]

        hits: list[Hit] = self._unless_missing(collection, nearest, [])
        return sorted(hits, key=lambda hit: (-hit.score, hit.passage.index))

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        return self._unless_missing(collection, lambda: self._client.count(collection).count, 0)

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        with translated():
            self._client.delete_collection(collection)

    def _unless_missing(self, collection: str, ask: Callable[[], T], nothing: T) -> T:
        with translated():
            try:
                return ask()
            # Of a server, and of the engine that runs inside the client.
            except (UnexpectedResponse, ValueError) as error:
                missing = getattr(error, "status_code", 404) == 404
                if not missing or self._client.collection_exists(collection):
                    raise
                return nothing


def connect() -> QdrantClient:
    """Return a client for the server of the settings."""
    return QdrantClient(
        url=settings.qdrant.url,
        api_key=settings.qdrant.api_key.get_secret_value() or None,
        timeout=settings.qdrant.timeout_s,
        check_compatibility=False,  # would ask the server from a thread, before it is needed
    )


def point_id(collection: str, passage: Passage) -> int | str:
    """Return a point's id: for `{book}:{n}` in `{book}_v…` the number, as the books' document says.

    Elsewhere places may repeat, and the id is a UUID made of the passage's.
    """
    owner = collection.rpartition("_v")[0]
    if passage.id == f"{owner}:{passage.index}":
        return passage.index
    return str(uuid5(NAMESPACE_OID, passage.id))


def up_to(index: int) -> Filter:
    """Return the filter that leaves out what comes after a place in the text."""
    return Filter(must=[FieldCondition(key="index", range=Range(lte=index))])


def hit_of(point: ScoredPoint) -> Hit:
    """Return the passage of a point, and its score."""
    return Hit(passage=Passage.model_validate(point.payload), score=point.score)


@contextmanager
def translated() -> Iterator[None]:
    """Say Unavailable for what may pass, and IndexRefused for what will not."""
    try:
        yield
    except ResourceExhaustedResponse as error:
        raise Unavailable("Qdrant is busy.", retry_after_s=float(error.retry_after_s)) from error
    except ResponseHandlingException as error:
        if isinstance(error.source, ValidationError):
            raise IndexRefused(NOT_UNDERSTOOD) from error
        raise Unavailable("Qdrant does not answer.") from error
    except JSONDecodeError as error:
        raise IndexRefused(NOT_UNDERSTOOD) from error
    except UnexpectedResponse as error:
        status = error.status_code or 500
        if status >= 500 or status in PASSING:
            wait_s = retry_after_s(error.headers.get("retry-after"))
            raise Unavailable(f"Qdrant failed: {status}.", retry_after_s=wait_s) from error
        raise IndexRefused(f"Qdrant refused: {explanation(error)}") from error
    except QdrantException as error:  # a Retry-After that the client cannot read
        raise Unavailable("Qdrant is busy.") from error


def explanation(error: UnexpectedResponse) -> str:
    """Return what the server says about a refusal, short and in one line."""
    text = " ".join(error.content.decode(errors="replace").split())
    return f"{error.status_code} {text}"[:SHOWN_CHARS]
