"""What calls of models cost, by LiteLLM's price list and by BUDGETS_PRICES."""

import math
from functools import cache
from typing import Any, NamedTuple

import litellm
from litellm.exceptions import ModelNotMappedError
from litellm.types.utils import Usage

from config.settings import settings
from models.costs.tables import MICRO

BYTES_PER_TOKEN = 3  # of a prompt, at least: English has more than four, other scripts about three
DOCUMENTS_PER_SEARCH = 100  # of a reranker that charges by search: https://cohere.com/pricing
OWN_MACHINE = ("ollama/", "ollama_chat/")  # LiteLLM would ask the server about each of its models


class _Price(NamedTuple):
    """Dollars for one token asked and answered, and for one search."""

    asked: float
    answered: float
    search: float
    most_tokens: int | None  # that the model answers with


def tokens_at_most(texts: list[str]) -> int:
    """Return more tokens than the texts have, in the time it takes to look at their lengths."""
    return sum(len(text.encode()) // BYTES_PER_TOKEN + 4 for text in texts)


def answer_at_most(model: str, wanted: int | None) -> int:
    """Return how many tokens to set aside for an answer of at most `wanted` (None: any)."""
    price = price_of(model)
    asked = wanted or settings.budgets.answer_tokens
    return min(asked, price.most_tokens) if price and price.most_tokens else asked


def searches_for(documents: int) -> int:
    """Return how many searches a reranker charges for so many documents."""
    return math.ceil(documents / DOCUMENTS_PER_SEARCH)


def cost(model: str, *, prompt: int, completion: int, searches: int = 0) -> int | None:
    """Return what a call costs in micro-dollars, rounded up; None where no price is known."""
    price = price_of(model)
    if price is None:
        return None
    dollars = prompt * price.asked + completion * price.answered + searches * price.search
    return math.ceil(dollars * MICRO)


def cost_of_usage(model: str, usage: Usage) -> int | None:
    """Return what a provider's own count costs, discounts for cached tokens included."""
    if model in _own(settings.budgets.prices) or price_of(model) is None:
        return cost(model, prompt=usage.prompt_tokens, completion=usage.completion_tokens)
    asked, answered = litellm.cost_per_token(
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        usage_object=usage,
    )
    return math.ceil((asked + answered) * MICRO)


def price_of(model: str) -> _Price | None:
    """Return a model's price; None where nobody knows it."""
    return _own(settings.budgets.prices).get(model) or _listed(model)


@cache
def _listed(model: str) -> _Price | None:
    if model.startswith(OWN_MACHINE):
        return _Price(0.0, 0.0, 0.0, None)
    try:
        info: Any = litellm.get_model_info(model)
    except ModelNotMappedError:
        return None
    return _Price(
        asked=info["input_cost_per_token"] or 0.0,
        answered=info["output_cost_per_token"] or 0.0,
        search=info.get("input_cost_per_query") or 0.0,
        most_tokens=info.get("max_output_tokens"),
    )


@cache
def _own(written: str) -> dict[str, _Price]:
    found = {}
    for one in filter(None, (part.strip() for part in written.split(";"))):
        name, _, rates = one.rpartition("=")
        asked, _, answered = rates.partition("/")
        found[name] = _Price(float(asked) / MICRO, float(answered) / MICRO, 0.0, None)
    return found
