"""Counters that never fall, whatever is deleted or pruned: one row per day, name and label."""

from datetime import date

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel

from models.base import now


class CounterDaily(SQLModel, table=True):
    """How much was counted on one day (UTC)."""

    __tablename__ = "counter_daily"

    day: date = Field(primary_key=True)
    name: str = Field(primary_key=True)
    label: str = Field(primary_key=True)
    amount: float


_table: Table = CounterDaily.__table__  # type: ignore[attr-defined]


def count(session: Session, name: str, amount: float = 1.0, *, label: str = "") -> None:
    """Add to today's row, in the caller's transaction: what is rolled back was never counted."""
    new = insert(_table).values(day=now().date(), name=name, label=label, amount=amount)
    more = {"amount": _table.c.amount + new.excluded.amount}
    session.execute(new.on_conflict_do_update(index_elements=["day", "name", "label"], set_=more))


def totals(conn: Connection) -> dict[str, dict[str, float]]:
    """Return all that was ever counted: `{name: {label: amount}}`."""
    told: dict[str, dict[str, float]] = {}
    total = func.sum(_table.c.amount)
    query = select(_table.c.name, _table.c.label, total).group_by(_table.c.name, _table.c.label)
    for name, label, amount in conn.execute(query):
        told.setdefault(name, {})[label] = amount
    return told
