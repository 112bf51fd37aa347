"""Who pays: the attempt on whose behalf this thread calls models, and its entries in the ledger."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from config.db import single_statement
from models.costs import ledger
from models.costs.ledger import NewCall, Spent
from tasks.failpoints import failpoint
from tasks.progress import Attempt

logger = logging.getLogger(__name__)

_payer: ContextVar[Attempt | None] = ContextVar("payer", default=None)


@contextmanager
def charged_to(attempt: Attempt) -> Iterator[None]:
    """Have the paid calls made in here written down as this attempt's."""
    token = _payer.set(attempt)
    try:
        yield
    finally:
        _payer.reset(token)


def payer() -> Attempt | None:
    """Return the attempt at work in this thread; None outside of steps, as in benchmarks."""
    return _payer.get()


def reserve(
    model: str, purpose: str, *, prompt_tokens: int, completion_tokens: int, microusd: int | None
) -> UUID | None:
    """Set the estimate of a call aside, in one round trip; None where nobody is to pay.

    Raises BudgetExceeded, PriceUnknown, and what Postgres raises: nothing is bought on trust.
    """
    attempt = _payer.get()
    if attempt is None:
        return None
    claim = attempt.claim
    new = NewCall(
        job_id=claim.job_id,
        step=claim.name,
        item=claim.item_key,
        attempt=claim.attempt,
        epoch=claim.epoch,
        owner_id=claim.owner_id,
        model=model,
        purpose=purpose,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        reserved_microusd=microusd,
    )
    with single_statement() as conn:
        call_id = ledger.reserve(conn, new)
    failpoint("reserved", claim.name)
    return call_id


def settle(call_id: UUID | None, spent: Spent) -> None:
    """Write down what a call has cost. An answer that was paid for is not lost if that fails.

    The upkeep then settles the call at its estimate.
    """
    if call_id is None:
        return
    failpoint("answered")
    try:
        with single_statement() as conn:
            ledger.settle(conn, call_id, spent)
    except SQLAlchemyError as error:
        logger.warning("call %s stays at its estimate: %s", call_id, type(error).__name__)
