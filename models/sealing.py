"""Sealed secrets of every kind: carried over to the newest key."""

from typing import Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session, col, select

from config.crypto import Unsealable, reseal


class Sealed(Protocol):
    """A row that keeps a secret."""

    id: UUID
    sealed: str


class Rotation(BaseModel):
    """What came of a batch: its last id (none: there was nothing left), and what no key opens."""

    last: UUID | None
    done: int
    lost: list[UUID]


Kept = TypeVar("Kept", bound=Sealed)


def rotate_sealed(
    session: Session, table: type[Kept], *, after: UUID | None, limit: int
) -> Rotation:
    """Seal a batch of everybody's secrets with the newest key, in the order of their ids.

    Safe to repeat. `after` is the last id of the batch before.
    """
    query = select(table).order_by(col(table.id)).limit(limit).with_for_update()
    if after is not None:
        query = query.where(col(table.id) > after)
    rows = list(session.exec(query))
    lost: list[UUID] = []
    for row in rows:
        try:
            row.sealed = reseal(row.sealed)
        except Unsealable:
            lost.append(row.id)
    return Rotation(last=rows[-1].id if rows else None, done=len(rows) - len(lost), lost=lost)
