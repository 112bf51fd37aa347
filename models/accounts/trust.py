"""Ids that somebody else vouches for: a gateway, a service, the local stack."""

from uuid import UUID, uuid5

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, select

from models.accounts.tables import InactiveAccount, Role, User
from models.base import now
from models.errors import Invalid, NotFound

LOCAL_USER_ID = UUID("00000000-0000-4000-8000-000000000001")
GUEST_USER_ID = UUID("00000000-0000-4000-8000-000000000002")  # scenes' `console_user`
SYSTEM_USER_ID = UUID("00000000-0000-4000-8000-000000000003")  # owns the platform's own upkeep
_TRUSTED_IDS = UUID("5f9ff0a5-7e0b-5a0e-9b3c-6e2f1d8c4a10")  # namespace of ids that are no UUIDs


class UnknownUser(NotFound):
    """There is no such user."""

    code = "unknown_user"


class InvalidUserId(Invalid):
    """An id of a user is text."""

    code = "invalid_user_id"


def trusted_id(raw: str) -> UUID:
    """Return the account id for an id that a gateway vouches for, of whatever form.

    Raises InvalidUserId.
    """
    try:
        return UUID(raw)
    except ValueError:
        pass
    try:
        return uuid5(_TRUSTED_IDS, raw)
    except UnicodeEncodeError:
        raise InvalidUserId() from None


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
