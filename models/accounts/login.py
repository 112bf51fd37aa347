"""Coming in with a password."""

from pydantic import BaseModel
from sqlmodel import Session, col, or_, select

from models.accounts.passwords import hash_password, is_outdated, matches
from models.accounts.tables import InactiveAccount, User
from models.base import now
from models.errors import Invalid, Unauthorized
from models.login_brake import count_login, forget_failed_logins


class InvalidCredentials(Unauthorized):
    """Invalid credentials"""

    code = "invalid_credentials"


class MissingCredentials(Invalid):
    """Say who you are (identifier, email or username) and your password."""

    code = "missing_credentials"


class Credentials(BaseModel):
    """Who somebody says they are, by email address or username, and their password."""

    identifier: str = ""
    email: str = ""
    username: str = ""
    password: str = ""


def find_user(session: Session, identifier: str) -> User | None:
    """Return who goes by this email address or, failing that, by this username."""
    if "\x00" in identifier:  # Postgres takes no such text
        return None
    email = identifier.strip().lower()
    found = session.exec(
        select(User).where(or_(col(User.email) == email, col(User.username) == identifier))
    ).all()
    return min(found, key=lambda user: user.email != email, default=None)


def log_in_with(session: Session, given: Credentials, *, address: str) -> User:
    """Return whose credentials these are. Raises MissingCredentials, and as `log_in`."""
    identifier = given.identifier or given.email or given.username
    if not identifier or not given.password:
        raise MissingCredentials()
    return log_in(session, identifier=identifier, password=given.password, address=address)


def log_in(session: Session, *, identifier: str, password: str, address: str) -> User:
    """Return whose credentials these are. Unknown people take as long to refuse as known ones.

    `address` is where they ask from. Raises TooManyLogins, InvalidCredentials, and only to who
    knows the password InactiveAccount.
    """
    count_login(identifier, address)
    user = find_user(session, identifier)
    stored = user.password_hash if user is not None else None
    if not matches(password, stored) or user is None or stored is None:
        raise InvalidCredentials()
    forget_failed_logins(session, identifier, address)
    if not user.active:
        raise InactiveAccount()
    if is_outdated(stored):
        user.password_hash = hash_password(password)
    user.last_login_at = now()
    return user
