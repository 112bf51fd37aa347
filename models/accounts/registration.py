"""Making accounts, and the rules of a good name, address and password."""

import re
from uuid import uuid4

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from config.settings import settings
from models.accounts.passwords import hash_password
from models.accounts.tables import Role, User
from models.base import now
from models.errors import Conflict, Forbidden, Invalid, Unprocessable

PASSWORD_MIN = 8  # characters
PASSWORD_MAX = 1024  # characters; hashing more would be work for nothing
USERNAME = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,148}[^\x00-\x20\x7f])?")


class RegistrationClosed(Forbidden):
    """Nobody can sign up here; ask an administrator for an account."""

    code = "self_registration_disabled"


class InvalidEmail(Invalid):
    """This is no email address."""

    code = "invalid_email"


class InvalidUsername(Invalid):
    """A username has 1 to 150 characters and no blanks around it."""

    code = "invalid_username"


class InvalidPassword(Invalid):
    """A password has at most 1024 characters."""

    code = "invalid_password"


class WeakPassword(Unprocessable):
    """A password has at least 8 characters."""

    code = "weak_password"


class DuplicateUser(Conflict):
    """Somebody has registered with this email address or username already."""

    code = "duplicate_user"


def register(session: Session, *, email: str, username: str, password: str) -> User:
    """Make the account of somebody who signs up.

    Raises RegistrationClosed, and what `create_account` raises.
    """
    if not settings.accounts.registration:
        raise RegistrationClosed()
    return create_account(session, email=email, username=username, password=password)


def create_account(
    session: Session,
    *,
    email: str,
    username: str,
    password: str,
    role: Role = Role.USER,
    verified: bool = False,
) -> User:
    """Make an account with a password.

    Raises InvalidEmail, InvalidUsername, InvalidPassword, WeakPassword, DuplicateUser (`field`).
    """
    address = _checked(email, username, password)
    if taken := _taken(session, address, username):
        raise DuplicateUser(field=taken)
    new = {
        "id": uuid4(),  # version 4: the dining document promises that of X-User-ID
        "email": address,
        "username": username,
        "password_hash": hash_password(password),
        "role": role,
        "verified": verified,
        "active": True,
        "created_at": now(),
    }
    made = insert(User).values(new).on_conflict_do_nothing().returning(col(User.id))
    if (user_id := session.execute(made).scalar()) is None:
        raise DuplicateUser(field=_taken(session, address, username))
    return session.get_one(User, user_id)


def _checked(email: str, username: str, password: str) -> str:
    """Return the address as it is stored."""
    address = _normalised(email)
    if not USERNAME.fullmatch(username):
        raise InvalidUsername()
    if len(password) < PASSWORD_MIN:
        raise WeakPassword(min_length=PASSWORD_MIN)
    if len(password) > PASSWORD_MAX:
        raise InvalidPassword()
    return address


def _normalised(email: str) -> str:
    try:
        found = validate_email(email, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise InvalidEmail() from None
    return found.normalized.lower()


def _taken(session: Session, email: str, username: str) -> str | None:
    if session.exec(select(User.id).where(User.email == email)).first() is not None:
        return "email"
    if session.exec(select(User.id).where(User.username == username)).first() is not None:
        return "username"
    return None
