"""The tables of accounts: people, their tokens and links, and the mail that went out."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, String
from sqlmodel import Field, SQLModel

from models.base import new_id, timestamp
from models.errors import Forbidden


class Role(StrEnum):
    """What a person may do; each role may do what the one before it may."""

    USER = "user"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"

    @property
    def rank(self) -> int:
        """Its place among the roles, the humblest first."""
        return list(Role).index(self)


class InactiveAccount(Forbidden):
    """This account is switched off."""

    code = "account_inactive"


class User(SQLModel, table=True):
    """One account behind all doors."""

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin', 'superadmin')", name="role_is_known"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    email: str | None = Field(default=None, unique=True)  # in lower case
    username: str | None = Field(default=None, unique=True)
    password_hash: str | None = None  # Argon2id
    role: Role = Field(
        default=Role.USER, sa_column=Column(String, nullable=False, server_default="user")
    )
    verified: bool = False
    active: bool = True
    created_at: datetime = timestamp(default_now=True)
    last_login_at: datetime | None = timestamp(nullable=True)


class AccessToken(SQLModel, table=True):
    """A bearer token, known only by its hash."""

    __tablename__ = "access_token"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    token_hash: str = Field(unique=True)
    created_at: datetime = timestamp(default_now=True)
    expires_at: datetime = timestamp()
    last_used_at: datetime | None = timestamp(nullable=True)
    revoked_at: datetime | None = timestamp(nullable=True)


class Verification(SQLModel, table=True):
    """A link that proves an address, known only by its token's hash; good for one use."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    token_hash: str = Field(unique=True)
    created_at: datetime = timestamp(default_now=True)
    expires_at: datetime = timestamp()
    used_at: datetime | None = timestamp(nullable=True)


class OutboxMail(SQLModel, table=True):
    """A mail that was sent, or that lies here because no mail server is configured."""

    __tablename__ = "outbox_mail"
    __table_args__ = (Index("ix_outbox_mail_user_id", "user_id"),)

    id: UUID = Field(primary_key=True)  # of what it is about, so that it is kept once
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    recipient: str
    subject: str
    body: str | None = None  # kept only when nobody else has it
    via: str
    created_at: datetime = timestamp(default_now=True)
