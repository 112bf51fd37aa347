"""Paid calls: what each may cost is reserved before it, and settled after it.

Each of the two is one statement. Both lock the job's spending before its owner's, and of the
owner's the day's after the month's, so that callers wait for one another and never in a circle.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Connection, DateTime, Integer, Uuid, bindparam
from sqlalchemy.dialects.postgresql import JSONB

from config.settings import settings
from models.base import new_id, one_statement
from models.costs.tables import MICRO, model_call
from models.errors import Conflict


class BudgetExceeded(Conflict):
    """The budget does not allow for this call. Resume the job once it was raised."""

    code = "budget_exceeded"


class PriceUnknown(Conflict):
    """A budget applies, and what this model costs is not known."""

    code = "price_unknown"


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that is about to be made: for whom, to which model, and what it may amount to."""

    job_id: UUID
    step: str
    item: str
    attempt: int
    epoch: int
    owner_id: UUID
    model: str
    purpose: str
    prompt_tokens: int
    completion_tokens: int
    reserved_microusd: int | None  # None: the price is not known


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call has amounted to."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_microusd: int | None  # None: the price is not known
    estimated: bool


_reserve = one_statement(
    "SELECT longrun_reserve(:call, :daily, :monthly, :refuse_unknown)",
    bindparam("call", type_=JSONB()),
    bindparam("daily", type_=BigInteger()),
    bindparam("monthly", type_=BigInteger()),
    bindparam("refuse_unknown", type_=Boolean()),
)

_SETTLE = """
WITH done AS (
    UPDATE model_call SET {values}, settled_at = clock_timestamp()
    WHERE {which} AND settled_at IS NULL
    RETURNING job_id, owner_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
        coalesce(cost_microusd, 0) - coalesce(reserved_microusd, 0) AS more
), jobs AS MATERIALIZED (
    SELECT job_id FROM job_spending WHERE job_id IN (SELECT job_id FROM done)
    ORDER BY job_id FOR UPDATE
), of_job AS (
    UPDATE job_spending SET spent_microusd = spent_microusd + total.more
    FROM jobs, (SELECT job_id, sum(more) AS more FROM done GROUP BY job_id) AS total
    WHERE job_spending.job_id = jobs.job_id AND total.job_id = jobs.job_id
    RETURNING 1
), owners AS MATERIALIZED (
    SELECT owner_id, period FROM owner_spending
    WHERE (SELECT count(*) FROM of_job) >= 0
        AND (owner_id, period) IN (
            SELECT owner_id, day FROM done UNION SELECT owner_id, left(day, 7) FROM done)
    ORDER BY owner_id, period FOR UPDATE
), of_owner AS (
    UPDATE owner_spending SET spent_microusd = spent_microusd + total.more
    FROM owners, (
        SELECT owner_id, period, sum(more) AS more
        FROM (SELECT owner_id, day AS period, more FROM done
              UNION ALL SELECT owner_id, left(day, 7), more FROM done) AS each
        GROUP BY owner_id, period
    ) AS total
    WHERE owner_spending.owner_id = owners.owner_id AND owner_spending.period = owners.period
        AND total.owner_id = owners.owner_id AND total.period = owners.period
)
SELECT count(*) FROM done
"""
_settle = one_statement(
    _SETTLE.format(
        values="prompt_tokens = :prompt_tokens, completion_tokens = :completion_tokens, "
        "cached_tokens = :cached_tokens, cost_microusd = :cost_microusd, estimated = :estimated",
        which="id = :id",
    ),
    bindparam("id", type_=Uuid()),
    bindparam("prompt_tokens", type_=Integer()),
    bindparam("completion_tokens", type_=Integer()),
    bindparam("cached_tokens", type_=Integer()),
    bindparam("cost_microusd", type_=BigInteger()),
    bindparam("estimated", type_=Boolean()),
)
_settle_abandoned = one_statement(
    _SETTLE.format(
        values="cost_microusd = reserved_microusd, estimated = true",
        which="at < :before",
    ),
    bindparam("before", type_=DateTime(timezone=True)),
)


def microusd(dollars: str) -> int | None:
    """Return a setting's dollars in micro-dollars; None where there is no limit."""
    return round(float(dollars) * MICRO) if dollars else None


def reserve(conn: Connection, new: NewCall) -> UUID:
    """Write a call down before it is made, and set its estimate aside; return its id.

    All in one statement: callers at the same time cannot pass a budget together.
    Raises BudgetExceeded, PriceUnknown; nothing is written then.
    """
    call: dict[str, Any] = asdict(new) | {"id": new_id()}
    told = {name: str(value) if isinstance(value, UUID) else value for name, value in call.items()}
    refusal = conn.execute(
        _reserve,
        {
            "call": told,
            "daily": microusd(settings.budgets.daily_usd),
            "monthly": microusd(settings.budgets.monthly_usd),
            "refuse_unknown": settings.budgets.unknown_price == "refuse",
        },
    ).scalar_one()
    if refusal is None:
        return UUID(str(call["id"]))
    if refusal["budget"] == "unknown":
        raise PriceUnknown(model=new.model)
    raise BudgetExceeded(model=new.model, needed_microusd=new.reserved_microusd, **refusal)


def settle(conn: Connection, call_id: UUID, spent: Spent) -> bool:
    """Write down what a call has cost, and give back what was set aside beyond that.

    Safe to repeat. Returns whether the call was open until now.
    """
    done = conn.execute(_settle, asdict(spent) | {"id": call_id}).scalar_one()
    return bool(done)


def settle_abandoned(conn: Connection, *, before: datetime) -> int:
    """Settle what was begun before a moment and never settled, at its estimate; count it."""
    return int(conn.execute(_settle_abandoned, {"before": before}).scalar_one())


def forget_calls(conn: Connection, *, before: datetime) -> int:
    """Delete calls that were made before a moment and count in the daily totals; count them."""
    old = (model_call.c.at < before) & model_call.c.counted
    return conn.execute(model_call.delete().where(old)).rowcount
