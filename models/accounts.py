"""People, the tokens they hold, and who is asking."""

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid5

from sqlalchemy import CheckConstraint, Column, Connection, String
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, select

from models.base import new_id, now, timestamp
from models.errors import Forbidden, Unauthorized

LOCAL_USER_ID = UUID("00000000-0000-4000-8000-000000000001")
_TRUSTED_IDS = UUID("5f9ff0a5-7e0b-5a0e-9b3c-6e2f1d8c4a10")  # namespace of ids that are no UUIDs


class Role(StrEnum):
    """What a person may do; each role may do what the one before it may."""

    USER = "user"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


class User(SQLModel, table=True):
    """One account behind all doors."""

    __tablename__ = "user"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin', 'superadmin')", name="role_is_known"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    email: str | None = Field(default=None, unique=True)
    username: str | None = Field(default=None, unique=True)
    password_hash: str | None = None  # Argon2id
    role: Role = Field(
        default=Role.USER, sa_column=Column(String, nullable=False, server_default="user")
    )
    verified: bool = False
    active: bool = True
    created_at: datetime = timestamp(default_now=True)


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


class InvalidToken(Unauthorized):
    """This token is unknown, expired or revoked."""

    code = "invalid_token"


class InactiveAccount(Forbidden):
    """This account is switched off."""

    code = "account_inactive"


def hash_token(token: str) -> str:
    """Return the stored form of a random 256-bit token; a fast hash suffices for those."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue_token(session: Session, user: UUID, *, lifetime: timedelta = timedelta(hours=8)) -> str:
    """Return a new bearer token for `user`. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    session.add(
        AccessToken(user_id=user, token_hash=hash_token(token), expires_at=now() + lifetime)
    )
    session.flush()
    return token


def user_of_token(session: Session, token: str) -> User:
    """Return whose token this is. Raises InvalidToken, InactiveAccount."""
    row = session.exec(
        select(AccessToken).where(AccessToken.token_hash == hash_token(token))
    ).one_or_none()
    if row is None or row.revoked_at is not None or row.expires_at <= now():
        raise InvalidToken()
    if row.last_used_at is None or now() - row.last_used_at > timedelta(minutes=1):
        row.last_used_at = now()  # at most one write a minute
    user = session.get_one(User, row.user_id)
    if not user.active:
        raise InactiveAccount()
    return user


def trusted_id(raw: str) -> UUID:
    """Return the account id for an id that a gateway vouches for, of whatever form."""
    try:
        return UUID(raw)
    except ValueError:
        return uuid5(_TRUSTED_IDS, raw)


def is_active(conn: Connection, user_id: UUID) -> bool:
    """Say whether there is an account with this id that is switched on."""
    query = select(User.active).where(User.id == user_id)
    return bool(conn.execute(query).scalar_one_or_none())


def provision_user(session: Session, user_id: UUID) -> User:
    """Return the account with this id, made on first use. Raises InactiveAccount."""
    user = session.get(User, user_id)
    if user is None:
        session.execute(
            insert(User)
            .values(id=user_id, role=Role.USER, verified=False, active=True, created_at=now())
            .on_conflict_do_nothing()
        )
        user = session.get_one(User, user_id)
    if not user.active:
        raise InactiveAccount()
    return user
