"""Proving an email address by a link: random, kept as a hash, good once and for a while."""

import base64
import hmac
from datetime import timedelta
from uuid import UUID

from sqlmodel import Session, select

from config.settings import address, settings
from models.accounts.tables import User, Verification
from models.accounts.tokens import hash_token
from models.base import new_id, now
from models.errors import NotFound


class InvalidVerification(NotFound):
    """Invalid or expired verification token"""

    code = "invalid_verification"


def open_verification(session: Session, user: User) -> Verification:
    """Record a new link for `user`. Links sent before stay good."""
    new = new_id()
    row = Verification(
        id=new,
        user_id=user.id,
        token_hash=hash_token(_token(new)),
        expires_at=now() + timedelta(seconds=settings.accounts.verification_s),
    )
    session.add(row)
    session.flush()
    return row


def _token(verification_id: UUID) -> str:
    """Return a link's token: a MAC, so that whoever sends the link need not be handed it in a
    job's input, where it could be read."""
    key = settings.secret_key.get_secret_value().encode()
    mac = hmac.digest(key, b"verification:" + verification_id.bytes, "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def verification_link(verification_id: UUID) -> str:
    """Return the address to be opened by who got the mail."""
    return address(f"/api/verify/{_token(verification_id)}/")


def verify_email(session: Session, token: str) -> User:
    """Take a link's proof. Raises InvalidVerification."""
    query = select(Verification).where(Verification.token_hash == hash_token(token))
    row = session.exec(query.with_for_update()).one_or_none()
    if row is None or row.used_at is not None or row.expires_at <= now():
        raise InvalidVerification()
    row.used_at = now()
    user = session.get_one(User, row.user_id)
    user.verified = True
    return user
