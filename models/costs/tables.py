"""The ledger of paid calls, what is left of budgets, and the budgets themselves.

Money is counted in micro-dollars, in whole numbers; people name budgets in dollars.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import cast
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, Numeric, Table, text
from sqlmodel import Field, SQLModel

from models import accounts  # noqa: F401 — budgets refer to users
from models.base import new_id, timestamp
from models.jobs import tables as jobs  # noqa: F401 — and to jobs

MICRO = 1_000_000  # micro-dollars in a dollar


def _amount(*, nullable: bool = False) -> Column[int]:
    return Column(BigInteger, nullable=nullable, server_default=None if nullable else "0")


class ModelCall(SQLModel, table=True):
    """One paid call. It is written before the call, with what that may cost, and settled after.

    It outlives its job and its owner: nothing here refers to their rows.
    """

    __tablename__ = "model_call"
    __table_args__ = (
        Index("ix_model_call_open", "at", postgresql_where=text("settled_at IS NULL")),
        Index("ix_model_call_uncounted", "model", postgresql_where=text("NOT counted")),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    job_id: UUID = Field(index=True)
    step: str
    item: str = ""
    attempt: int
    epoch: int  # tells attempts apart also after a resume, which counts them anew
    owner_id: UUID
    model: str
    purpose: str
    at: datetime = timestamp(default_now=True)
    settled_at: datetime | None = timestamp(nullable=True)  # empty: under way, or its worker died
    prompt_tokens: int = Field(sa_column=Column(Integer, nullable=False))
    completion_tokens: int = Field(sa_column=Column(Integer, nullable=False))
    cached_tokens: int = Field(sa_column=Column(Integer, nullable=False))  # of the prompt's
    estimated: bool  # counted by us: the provider did not say
    reserved_microusd: int | None = Field(sa_column=_amount(nullable=True))
    cost_microusd: int | None = Field(sa_column=_amount(nullable=True))  # empty: unknown price
    counted: bool = False  # by `model_call_daily`


class ModelCallDaily(SQLModel, table=True):
    """What the calls of a day (UTC) amounted to, so that counters never fall."""

    __tablename__ = "model_call_daily"

    day: date = Field(primary_key=True)
    model: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    calls: int = Field(sa_column=_amount())
    unpriced: int = Field(sa_column=_amount())
    prompt_tokens: int = Field(sa_column=_amount())
    completion_tokens: int = Field(sa_column=_amount())
    cached_tokens: int = Field(sa_column=_amount())
    cost_microusd: int = Field(sa_column=_amount())


class JobSpending(SQLModel, table=True):
    """What a job has spent, reservations included, and may spend."""

    __tablename__ = "job_spending"
    __table_args__ = (CheckConstraint("cap_microusd > 0", name="cap_is_positive"),)

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    spent_microusd: int = Field(sa_column=_amount())
    cap_microusd: int | None = Field(default=None, sa_column=_amount(nullable=True))


class OwnerSpending(SQLModel, table=True):
    """What somebody has spent in a day (`2026-11-21`) or month (`2026-11`, UTC)."""

    __tablename__ = "owner_spending"

    owner_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    period: str = Field(primary_key=True)
    spent_microusd: int = Field(sa_column=_amount())


class Budget(SQLModel, table=True):
    """What one person may spend, in place of the settings' default. Empty: any amount."""

    __tablename__ = "budget"
    __table_args__ = (
        CheckConstraint("daily_usd > 0", name="daily_is_positive"),
        CheckConstraint("monthly_usd > 0", name="monthly_is_positive"),
    )

    owner_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    daily_usd: Decimal | None = Field(default=None, sa_column=Column(Numeric(12, 6)))
    monthly_usd: Decimal | None = Field(default=None, sa_column=Column(Numeric(12, 6)))
    created_at: datetime = timestamp(default_now=True)


# The same tables, for Core statements.
model_call = cast(Table, ModelCall.__table__)  # type: ignore[attr-defined]
model_call_daily = cast(Table, ModelCallDaily.__table__)  # type: ignore[attr-defined]
job_spending = cast(Table, JobSpending.__table__)  # type: ignore[attr-defined]
owner_spending = cast(Table, OwnerSpending.__table__)  # type: ignore[attr-defined]
budget = cast(Table, Budget.__table__)  # type: ignore[attr-defined]
