"""What surrounds every call of a model that is not our own: its turn, its budget, its bill.

turn in the provider's bucket ──► estimate set aside ──► the call ──► what it cost, both put right
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litellm import exceptions
from litellm.types.utils import Usage

from models.costs.ledger import Spent
from tasks import buckets, spending
from tasks.adapters import prices
from tasks.adapters.litellm_client import is_offline
from tasks.adapters.model_errors import REFUSED, UNAUTHORIZED, wait_s
from tasks.adapters.tokenizer import count_tokens

# With these a provider says that it has not begun; a timeout says nothing of the kind.
UNPAID = (
    *UNAUTHORIZED,
    *REFUSED,
    exceptions.RateLimitError,
    exceptions.InternalServerError,
    exceptions.ServiceUnavailableError,
    exceptions.APIConnectionError,
)
NOTHING = Spent(0, 0, 0, 0, estimated=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be made, and the most that its answer may be."""

    model: str
    purpose: str
    prompt: list[str]
    answer_tokens: int = 0
    searches: int = 0  # that a reranker will charge for
    streamed: bool = False


@dataclass(slots=True)
class Meter:
    """What a call has given so far, for its bill."""

    usage: Usage | None = None  # as the provider counted
    searches: int | None = None  # as the provider counted
    pieces: list[str] = field(default_factory=list)

    def read(self, answer: Any) -> None:
        """Take over a provider's count, if this answer or chunk has one."""
        usage = getattr(answer, "usage", None)
        if usage is not None and (usage.prompt_tokens or usage.completion_tokens):
            self.usage = Usage(**usage.model_dump())


@contextmanager
def metered(call: Call) -> Iterator[Meter]:
    """Surround a call. Our own model is free, and goes without.

    Raises RateLimited, BudgetExceeded, PriceUnknown before the call is made.
    """
    meter = Meter()
    if is_offline(call.model):
        yield meter
        return
    tokens = prices.tokens_at_most(call.prompt)
    attempt = spending.payer()
    check = attempt.check if attempt else None
    taken = buckets.take(call.model, tokens + call.answer_tokens, check=check)
    try:
        call_id = _reserved(call, tokens)
    except BaseException:
        taken.put_back()
        raise
    problem: BaseException | None = None
    try:
        yield meter
    except BaseException as error:
        problem = error
        raise
    finally:
        spent = _spent(call, meter, problem)
        spending.settle(call_id, spent)
        if isinstance(problem, exceptions.RateLimitError):
            buckets.empty(call.model, wait_s(problem) or 0.0)
        else:
            taken.correct(spent.prompt_tokens + spent.completion_tokens)


def _reserved(call: Call, tokens: int) -> UUID | None:
    cost = prices.cost(
        call.model, prompt=tokens, completion=call.answer_tokens, searches=call.searches
    )
    return spending.reserve(
        call.model,
        call.purpose,
        prompt_tokens=tokens,
        completion_tokens=call.answer_tokens,
        microusd=cost,
    )


def _spent(call: Call, meter: Meter, problem: BaseException | None) -> Spent:
    """Return what a call has cost: as the provider says, else by our count of what there is."""
    if meter.usage is not None and problem is None:
        return _billed(call, meter.usage)
    if isinstance(problem, UNPAID) and not meter.pieces:
        return NOTHING
    asked = meter.usage.prompt_tokens if meter.usage else count_tokens(call.prompt)
    unseen = problem is not None and not call.streamed  # it may have been written to its end
    answered = call.answer_tokens if unseen else count_tokens(["".join(meter.pieces)])
    searches = call.searches if meter.searches is None else meter.searches
    cost = prices.cost(call.model, prompt=asked, completion=answered, searches=searches)
    return Spent(asked, answered, 0, cost, estimated=meter.searches is None)


def _billed(call: Call, usage: Usage) -> Spent:
    cached = getattr(usage.prompt_tokens_details, "cached_tokens", None) or 0
    cost = prices.cost_of_usage(call.model, usage)
    return Spent(usage.prompt_tokens, usage.completion_tokens, cached, cost, estimated=False)
