"""Reranking through LiteLLM."""

from collections.abc import Sequence
from typing import Any

import litellm

from config.settings import settings
from tasks.adapters.litellm_client import connection_options, wait_for
from tasks.adapters.metering import Call, metered
from tasks.adapters.model_errors import BrokeOff, our_errors
from tasks.adapters.prices import searches_for
from tasks.tools import Hit
from tasks.tracing import model_call

TIMEOUT_S = 10.0  # somebody waits for a reply, which can be written from the order there is


class LiteLLMReranker:
    """The tool `Reranker`."""

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        """Return the best `top_k` of `hits`, best first, scored by the model of `MODELS_RERANK`.

        Without a model they keep their scores. Raises Unavailable, ModelRefused.
        """
        model = settings.models.rerank
        scored = _scored(model, query, hits, top_k) if model and hits else list(hits)
        return sorted(scored, key=lambda hit: -hit.score)[:top_k]


def _scored(model: str, query: str, hits: Sequence[Hit], top_k: int) -> list[Hit]:
    options = connection_options(model) | {"timeout": TIMEOUT_S}
    texts: list[str | dict[str, Any]] = [hit.passage.text for hit in hits]
    with (
        our_errors(model),
        metered(_call(model, query, hits)) as meter,
        model_call("rerank", {"model": model}),
    ):
        answer: Any = wait_for(
            litellm.arerank(
                model, query, texts, top_n=min(top_k, len(texts)), return_documents=False, **options
            )
        )
        meter.searches = _searches(answer)
        rows = answer.results or []
        if any(not 0 <= row["index"] < len(hits) for row in rows):
            raise BrokeOff
    return [Hit(passage=hits[row["index"]].passage, score=row["relevance_score"]) for row in rows]


def _call(model: str, query: str, hits: Sequence[Hit]) -> Call:
    prompt = [query, *(hit.passage.text for hit in hits)]
    return Call(model, "rerank", prompt, searches=searches_for(len(hits)))


def _searches(answer: Any) -> int | None:
    """Return how many searches the provider charges for, if it says so."""
    billed = (answer.meta or {}).get("billed_units") or {}
    searches: int | None = billed.get("search_units")
    return searches
