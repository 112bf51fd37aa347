"""The brake on guessing passwords, in Postgres, so that it holds when Redis is away.

An attempt is counted before its password is looked at, in a transaction of its own: a request that
is refused rolls back, and attempts sent all at once must not overtake their count. Who gets in is
forgiven.
"""

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Index, delete, func
from sqlmodel import Field, Session, SQLModel, col, select

from config.db import transaction
from config.settings import settings
from models.base import new_id, now, timestamp
from models.errors import Busy

LOGIN_LOCK = 0x4C52_0003  # first half of an advisory lock's key, the second being the address


class TooManyLogins(Busy):
    """Too many failed logins. Try again later."""

    code = "too_many_logins"


class FailedLogin(SQLModel, table=True):
    """One attempt to log in that has not succeeded (yet)."""

    __tablename__ = "failed_login"
    __table_args__ = (Index("ix_failed_login_address_at", "address", "at"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name_hash: str  # hashed: people type passwords into the wrong field
    address: str
    at: datetime = timestamp(default_now=True)


def count_login(identifier: str, address: str) -> None:
    """Count an attempt, as failed until `forget_failed_logins`. Commits. Raises TooManyLogins."""
    with transaction() as session:
        session.execute(select(func.pg_advisory_xact_lock(LOGIN_LOCK, func.hashtext(address))))
        check_login_allowed(session, identifier, address)
        session.add(FailedLogin(name_hash=_hash(identifier), address=address))


def check_login_allowed(session: Session, identifier: str, address: str) -> None:
    """Refuse who has failed too often of late. Raises TooManyLogins (`retry_after_s`)."""
    limits, since = settings.login, now() - timedelta(seconds=settings.login.window_s)
    from_here = col(FailedLogin.address) == address
    session.execute(delete(FailedLogin).where(from_here, col(FailedLogin.at) < since))
    failed = select(FailedLogin.at).where(from_here).order_by(col(FailedLogin.at).desc()).limit(1)
    for query, allowed in (
        (failed.where(FailedLogin.name_hash == _hash(identifier)), limits.failures),
        (failed, limits.address_failures),
    ):
        if (first := session.exec(query.offset(allowed - 1)).first()) is not None:
            raise TooManyLogins(retry_after_s=(first - since).total_seconds(), limit=allowed)


def forget_failed_logins(session: Session, identifier: str, address: str) -> None:
    """Forgive who has proved to be who they say."""
    session.execute(
        delete(FailedLogin).where(
            col(FailedLogin.address) == address, col(FailedLogin.name_hash) == _hash(identifier)
        )
    )


def _hash(identifier: str) -> str:
    return hashlib.sha256(identifier.strip().lower().encode()).hexdigest()
