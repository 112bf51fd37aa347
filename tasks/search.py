"""The tools that find passages again: by meaning, by words, and the best of both."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel


class EmbeddingModel(BaseModel):
    """Which model made some vectors, and their length."""

    name: str
    dimension: int


class Embedder(Protocol):
    """Turns texts into vectors."""

    def model(self) -> EmbeddingModel:
        """Return the configured model and its dimension."""
        ...

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        """Return `(n, d)` vectors of unit length, in order, by `model` (default: configured).

        Raises Unavailable, ModelRefused, and InputRefused where a text itself is to blame."""
        ...


class Passage(BaseModel):
    """A piece of a text that can be found again. `id` is derived, so storing twice is harmless."""

    id: str
    text: str
    index: int  # place in the text, from 0
    meta: dict[str, int | float | str | bool] = {}


class Hit(BaseModel):
    """A passage that was found. A higher score is nearer."""

    passage: Passage
    score: float


class Vectors(Protocol):
    """Semantic search over named collections."""

    def create(self, collection: str, dimension: int) -> None:
        """Make a collection, unless it is there: an attempt that comes late empties nothing."""
        ...

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Store passages with their vectors. Safe to repeat."""
        ...

    def search(
        self,
        collection: str,
        vector: Sequence[float],
        *,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        """Return the nearest passages, nearest first; score is the cosine, -1..1.

        A missing collection has no hits. Raises Unavailable."""
        ...

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        ...


class Keywords(Protocol):
    """Keyword search over named collections."""

    def create(self, collection: str) -> None:
        """Make a collection, unless it is there: an attempt that comes late empties nothing."""
        ...

    def upsert(self, collection: str, passages: Sequence[Passage]) -> None:
        """Store passages. Safe to repeat."""
        ...

    def search(
        self, collection: str, query: str, *, top_k: int, up_to_index: int | None = None
    ) -> list[Hit]:
        """Return the best matches, best first. A missing collection has no hits.

        Raises Unavailable."""
        ...

    def passages(self, collection: str) -> list[Passage]:
        """Return all passages of a collection, in the order of the text. Raises Unavailable."""
        ...

    def count(self, collection: str) -> int:
        """Return how many passages a collection holds; 0 for a missing one."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a collection. Safe to repeat."""
        ...


class Reranker(Protocol):
    """Orders passages by how well they answer a query."""

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        """Return the best `top_k` of `hits`, best first, scored by the reranking model.

        Without a model they keep their scores. Raises Unavailable, ModelRefused."""
        ...
