"""Who has changed what by hand. Rows are only added."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, Session, SQLModel

from models.accounts.tables import User
from models.base import new_id, timestamp


class AuditEntry(SQLModel, table=True):
    """One change that an administrator has made."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_target", "target", "target_id"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    at: datetime = timestamp(default_now=True)
    actor_id: UUID | None = Field(
        default=None, foreign_key="user.id", ondelete="SET NULL", index=True
    )
    actor: str  # as they were called then
    action: str
    target: str
    target_id: str
    changes: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


def record_change(
    session: Session,
    actor: User | None,
    action: str,
    *,
    target: str,
    target_id: object,
    changes: dict[str, Any] | None = None,
) -> None:
    """Remember a change, in its own transaction. `changes`: {field: [before, after]}."""
    called = (actor.username or actor.email or str(actor.id)) if actor else "the command line"
    session.add(
        AuditEntry(
            actor_id=actor.id if actor else None,
            actor=called,
            action=action,
            target=target,
            target_id=str(target_id),
            changes=changes or {},
        )
    )
