"""What all tables share: time-ordered ids and UTC times."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import uuid6
from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    DateTime,
    Interval,
    String,
    TextClause,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> UUID:
    """Return a UUID version 7 (RFC 9562): ids sort by the time they were made."""
    return UUID(bytes=uuid6.uuid7().bytes)


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def timestamp(*, nullable: bool = False, default_now: bool = False) -> Any:
    """Declare a `timestamptz` column."""
    extra: dict[str, Any] = {}
    if default_now:
        extra = {"default_factory": now, "sa_column_kwargs": {"server_default": func.now()}}
    if nullable:
        extra["default"] = None
    return Field(sa_type=DateTime(timezone=True), nullable=nullable, **extra)


def jsonb(*, nullable: bool = True, default: str | None = None) -> Any:
    """Return a `jsonb` column; None is NULL."""
    return Column(JSONB(none_as_null=True), nullable=nullable, server_default=default)


def one_of(values: type[StrEnum]) -> str:
    """Return the values of an enum as SQL lists them, for CHECK constraints."""
    return ", ".join(f"'{value}'" for value in values)


def one_statement(sql: str, *parameters: BindParameter[Any]) -> TextClause:
    """Return a statement as short as it can be: psycopg parses those over 4 KB each time anew."""
    return text(" ".join(sql.split())).bindparams(*parameters)


def fixed(value: StrEnum) -> ColumnElement[str]:
    """Return a value that stands in the statement itself, not among its parameters.

    Whether a partial index holds the rows that are asked for, Postgres must see when it plans; and
    a statement that is run often is planned once, without its parameters.
    """
    return literal(str(value), String(), literal_execute=True)


def seconds(amount: float | ColumnElement[float]) -> ColumnElement[timedelta]:
    """Return an interval of `amount` seconds as SQL."""
    return func.make_interval(0, 0, 0, 0, 0, 0, amount, type_=Interval)
