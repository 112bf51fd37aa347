"""Bearer tokens: random, kept as hashes, with an end, and revocable by whoever holds them."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Session, col, select

from config.settings import settings
from models.accounts.tables import AccessToken, InactiveAccount, User
from models.base import now
from models.errors import NotFound, Unauthorized

USE_GRAIN = timedelta(minutes=1)  # `last_used_at` is written at most once in this time


class InvalidToken(Unauthorized):
    """This token is unknown, expired or revoked."""

    code = "invalid_token"


class InvalidServiceToken(Unauthorized):
    """This service token is not valid."""

    code = "invalid_service_token"


class TokenNotFound(NotFound):
    """You hold no such token."""

    code = "token_not_found"


def hash_token(token: str) -> str:
    """Return the stored form of a random 256-bit token; a fast hash suffices for those."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue_token(session: Session, user: UUID, *, lifetime: timedelta | None = None) -> str:
    """Return a new bearer token for `user`. Only its hash is kept; dead ones are swept away."""
    token = secrets.token_urlsafe(32)
    expires = now() + (lifetime or timedelta(seconds=settings.accounts.token_s))
    session.execute(
        delete(AccessToken).where(
            col(AccessToken.user_id) == user, col(AccessToken.expires_at) <= now()
        )
    )
    session.add(AccessToken(user_id=user, token_hash=hash_token(token), expires_at=expires))
    session.flush()
    return token


def token_row(session: Session, token: str) -> AccessToken:
    """Return what is kept of a living token. Raises InvalidToken."""
    row = session.exec(
        select(AccessToken).where(AccessToken.token_hash == hash_token(token))
    ).one_or_none()
    if row is None or row.revoked_at is not None or row.expires_at <= now():
        raise InvalidToken()
    return row


def user_of_token(session: Session, token: str) -> User:
    """Return whose token this is. Raises InvalidToken, InactiveAccount."""
    row = token_row(session, token)
    if row.last_used_at is None or now() - row.last_used_at > USE_GRAIN:
        row.last_used_at = now()
    user = session.get_one(User, row.user_id)
    if not user.active:
        raise InactiveAccount()
    return user


def list_tokens(session: Session, *, owner: UUID) -> list[AccessToken]:
    """Return somebody's living tokens, newest first."""
    query = (
        select(AccessToken)
        .where(
            AccessToken.user_id == owner,
            col(AccessToken.revoked_at).is_(None),
            col(AccessToken.expires_at) > now(),
        )
        .order_by(col(AccessToken.id).desc())
    )
    return list(session.exec(query))


def get_token(session: Session, token_id: UUID, *, owner: UUID) -> AccessToken:
    """Return one of somebody's tokens, dead or alive. Raises TokenNotFound."""
    row = session.get(AccessToken, token_id)
    if row is None or row.user_id != owner:
        raise TokenNotFound()
    return row


def revoke_token(row: AccessToken) -> None:
    """End a token. Safe to repeat."""
    row.revoked_at = row.revoked_at or now()
