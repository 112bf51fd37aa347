"""Embeddings through LiteLLM."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import litellm

from config.settings import settings
from tasks.adapters.litellm_client import connection_options, our_errors
from tasks.tools import EmbeddingModel

BATCH_TEXTS = 96  # providers take between 96 and 2,048 texts in one request


class LiteLLMEmbedder:
    """The tool `Embedder`."""

    def model(self) -> EmbeddingModel:
        """Return the configured model; its dimension is asked for once per process."""
        name = settings.models.embedding
        return EmbeddingModel(name=name, dimension=_dimension(name))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        """Return `(n, d)` vectors of unit length, in order. Raises Unavailable, ModelRefused."""
        name = model or settings.models.embedding
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            vectors += _embed(name, texts[start : start + BATCH_TEXTS])
        return vectors


@cache
def _dimension(model: str) -> int:
    return len(_embed(model, ["dimension"])[0])


def _embed(model: str, texts: Sequence[str]) -> list[list[float]]:
    with our_errors(model):
        answer: Any = litellm.embedding(model=model, input=list(texts), **connection_options(model))
    rows = sorted(answer.data, key=lambda row: row["index"])
    return [_unit(row["embedding"]) for row in rows]


def _unit(vector: Sequence[float]) -> list[float]:
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]
