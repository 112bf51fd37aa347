"""Embeddings through LiteLLM."""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import litellm

from config.settings import settings
from tasks.adapters.litellm_client import connection_options, is_offline, wait_for
from tasks.adapters.metering import Call, metered
from tasks.adapters.model_errors import BrokeOff, our_errors
from tasks.adapters.offline.hashing import DIMENSION
from tasks.tools import EmbeddingModel
from tasks.tracing import model_call, note_answer

BATCH_TEXTS = 96  # in one request; Cohere takes no more, others up to 2,048
BATCH_CHARS = 200_000  # in one request: about 50,000 tokens; OpenAI takes 300,000


class LiteLLMEmbedder:
    """The tool `Embedder`."""

    def model(self) -> EmbeddingModel:
        """Return the configured model; its dimension is asked for once per process.

        Raises Unavailable, ModelRefused.
        """
        name = settings.models.embedding
        return EmbeddingModel(name=name, dimension=_dimension(name))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        """Return `(n, d)` vectors of unit length, in order. Raises Unavailable, ModelRefused."""
        name = model or settings.models.embedding
        return [vector for batch in batches(texts) for vector in _embed(name, batch)]


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in order, as many at a time as one request may hold."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch


@cache
def _dimension(model: str) -> int:
    return DIMENSION if is_offline(model) else len(_embed(model, ["dimension"])[0])


def _embed(model: str, texts: list[str]) -> list[list[float]]:
    # A provider's embeddings endpoint may refuse an empty text.
    request = {"model": model, "input": [text or " " for text in texts]}
    with (
        our_errors(model),
        metered(Call(model, "embedding", texts)) as meter,
        model_call("embeddings", request) as call,
    ):
        answer: Any = wait_for(litellm.aembedding(**request, **connection_options(model)))
        note_answer(call, answer)
        meter.read(answer)
        rows = sorted(answer.data, key=lambda row: row["index"])
        if len(rows) != len(texts):
            raise BrokeOff
    return [_unit(row["embedding"]) for row in rows]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]
