"""What a job may spend, and what is left of it and of its owner's budgets."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from config.settings import settings
from models.base import now
from models.costs.ledger import microusd
from models.costs.tables import MICRO, budget, job_spending, owner_spending
from models.errors import Unprocessable

LARGEST_USD = 1_000_000
Usd = Annotated[
    Decimal,
    Field(gt=0, le=LARGEST_USD, max_digits=13, decimal_places=6, description="US dollars."),
]


class InvalidBudget(Unprocessable):
    """A budget is more than nothing, and a million dollars at most."""

    code = "invalid_budget"


class BudgetPublic(BaseModel):
    """What may be spent, what is spent or set aside of it, and what is left; empty: any amount."""

    cap_microusd: int | None
    spent_microusd: int
    remaining_microusd: int | None


class BudgetsPublic(BaseModel):
    """A job's budget, and its owner's for this day and this month (UTC)."""

    job: BudgetPublic
    day: BudgetPublic
    month: BudgetPublic


def checked(dollars: Decimal | float) -> Decimal:
    """Return a budget, to the micro-dollar. Raises InvalidBudget."""
    found = Decimal(str(dollars))
    if not found.is_finite() or not 1 <= found * MICRO <= LARGEST_USD * MICRO:
        raise InvalidBudget(usd=str(dollars))
    return round(found, 6)


def cap_job(conn: Connection, job_id: UUID, dollars: Decimal) -> None:
    """Say what a job may spend, whatever was said before. Raises InvalidBudget."""
    cap = int(checked(dollars) * MICRO)
    new = insert(job_spending).values(job_id=job_id, spent_microusd=0, cap_microusd=cap)
    conn.execute(new.on_conflict_do_update(index_elements=["job_id"], set_={"cap_microusd": cap}))


def cap_of(conn: Connection, job_id: UUID) -> Decimal | None:
    """Return what a job may spend, in dollars; None: any amount."""
    query = select(job_spending.c.cap_microusd).where(job_spending.c.job_id == job_id)
    cap = conn.execute(query).scalar_one_or_none()
    return None if cap is None else Decimal(cap) / MICRO


def budgets_of(conn: Connection, *, job_id: UUID, owner: UUID) -> BudgetsPublic:
    """Return the budgets that hold for a job at this moment."""
    columns = (job_spending.c.cap_microusd, job_spending.c.spent_microusd)
    of_job = conn.execute(select(*columns).where(job_spending.c.job_id == job_id)).one_or_none()
    day = now().strftime("%Y-%m-%d")
    of_owner = select(owner_spending.c.period, owner_spending.c.spent_microusd).where(
        owner_spending.c.owner_id == owner, owner_spending.c.period.in_((day, day[:7]))
    )
    spent: dict[str, int] = {period: amount for period, amount in conn.execute(of_owner)}
    caps = _caps_of(conn, owner)
    return BudgetsPublic(
        job=_told(of_job.cap_microusd, of_job.spent_microusd) if of_job else _told(None, 0),
        day=_told(caps.daily, spent.get(day, 0)),
        month=_told(caps.monthly, spent.get(day[:7], 0)),
    )


@dataclass(frozen=True, slots=True)
class _Caps:
    daily: int | None
    monthly: int | None


def _caps_of(conn: Connection, owner: UUID) -> _Caps:
    own = conn.execute(budget.select().where(budget.c.owner_id == owner)).one_or_none()
    if own is None:
        return _Caps(microusd(settings.budgets.daily_usd), microusd(settings.budgets.monthly_usd))
    return _Caps(_micro(own.daily_usd), _micro(own.monthly_usd))


def _micro(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * MICRO)


def _told(cap: int | None, spent: int) -> BudgetPublic:
    return BudgetPublic(
        cap_microusd=cap,
        spent_microusd=spent,
        remaining_microusd=None if cap is None else max(0, cap - spent),
    )


def forget_spending(conn: Connection, *, before: str) -> int:
    """Delete what people spent in days and months before a day (`2026-11-21`); count the rows."""
    return conn.execute(owner_spending.delete().where(owner_spending.c.period < before)).rowcount
