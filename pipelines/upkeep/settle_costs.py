"""Settle what dead workers left open in the ledger, and keep the ledger short."""

from datetime import timedelta

from pydantic import BaseModel
from sqlmodel import Session

from config.settings import settings
from models.base import now
from models.costs.budgets import forget_spending
from models.costs.ledger import forget_calls, settle_abandoned
from models.costs.totals import count_settled
from models.jobs.retention import oldest_kept
from tasks.firing import upkeep
from tasks.pipeline import Pipeline

EVERY_S = 300
MARGIN_S = 120.0  # beyond the longest call: its wait for a turn, and clocks that differ


class SettleCosts(BaseModel):
    """Nothing needs to be said."""


class Settled(BaseModel):
    """How many calls were settled at their estimate, and how many were forgotten."""

    abandoned: int
    forgotten: int


def settle_calls(wanted: SettleCosts, session: Session) -> Settled:
    """Settle calls that nobody can be waiting for any more, and add what is new to the totals."""
    conn = session.connection()
    longest = timedelta(seconds=settings.llm.total_timeout_s + MARGIN_S)
    abandoned = settle_abandoned(conn, before=now() - longest)
    count_settled(conn)
    old = oldest_kept(settings.retention.costs_days)
    forget_spending(conn, before=old.strftime("%Y-%m-%d"))
    return Settled(abandoned=abandoned, forgotten=forget_calls(conn, before=old))


settle_costs = Pipeline("upkeep.settle_costs", settle_calls, input=SettleCosts)
upkeep(settle_costs, every_s=EVERY_S)
