"""Diners: what they like, and what they must not eat."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, JsonValue
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, Session, SQLModel, col

from models.accounts import (
    DuplicateUser,
    InvalidCredentials,
    User,
    log_in,
    provision_user,
    register,
)  # fmt: skip
from models.base import now, timestamp
from models.errors import Forbidden, Invalid, NotFound, Unprocessable

PREFERENCES = ("dietary", "vibes", "cuisine_affinity", "cuisine_aversion", "price_comfort")
PREFERENCES_MAX = 64 * 1024  # bytes as JSON: arrays only grow


class DinerNotFound(NotFound):
    """User not found"""

    code = "diner_not_found"


class EmailTaken(Invalid):
    """Email already registered"""

    code = "email_taken"


class UsernameTaken(Invalid):
    """Username already taken"""

    code = "username_taken"


class WrongCredentials(Invalid):
    """Invalid credentials"""

    code = "wrong_credentials"


class EmailNotVerified(Forbidden):
    """Email not verified. Please check your inbox."""

    code = "email_not_verified"


class TooManyPreferences(Unprocessable):
    """These are more preferences than are kept for one person."""

    code = "too_many_preferences"


def _no_preferences() -> dict[str, Any]:
    return {name: [] for name in PREFERENCES}


def _no_allergies() -> dict[str, Any]:
    return {"confirmed": [], "severity": {}}


class Diner(SQLModel, table=True):
    """What dining knows of a person. Everything else it keeps of them refers to this row."""

    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    email: str | None = None  # as the calling service has it; proves nothing
    preferences: dict[str, Any] = Field(
        default_factory=_no_preferences, sa_column=Column(JSONB, nullable=False)
    )
    allergies: dict[str, Any] = Field(
        default_factory=_no_allergies, sa_column=Column(JSONB, nullable=False)
    )
    interaction_count: int = 0
    last_active_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)

    @property
    def allergy_flags(self) -> list[str]:
        """The allergens that are confirmed."""
        return list(self.allergies["confirmed"])

    @property
    def dietary_flags(self) -> list[str]:
        """The diets that are kept to."""
        kept = self.preferences.get("dietary")
        return [one for one in kept if isinstance(one, str)] if isinstance(kept, list) else []


def _storable(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        told = json.dumps(value, ensure_ascii=False, allow_nan=False)
        told.encode()
    except RecursionError:
        raise ValueError("this is nested too deeply") from None
    if "\\u0000" in told:
        raise ValueError("text cannot hold the character NUL")
    return value


Preferences = Annotated[dict[str, JsonValue], AfterValidator(_storable)]


def merge(old: Any, new: Any) -> Any:
    """Return `new` laid over `old`: objects merge key by key, arrays unite in order, without
    duplicates, and anything else replaces."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merge(old[key], new[key]) if key in old else new[key] for key in new}
    if isinstance(old, list) and isinstance(new, list):
        united = list(old)
        united += [one for at, one in enumerate(new) if one not in old and one not in new[:at]]
        return united
    return new


def provision_diner(session: Session, user_id: UUID, *, email: str | None) -> bool:
    """Make a diner, and the account if need be; return whether there was none. Safe to repeat."""
    provision_user(session, user_id)
    row = {
        "user_id": user_id,
        "email": email,
        "preferences": _no_preferences(),
        "allergies": _no_allergies(),
        "interaction_count": 0,
        "created_at": now(),
    }
    statement = insert(Diner).values(row).on_conflict_do_nothing().returning(col(Diner.user_id))
    return session.execute(statement).scalar() is not None


def get_diner(session: Session, user_id: UUID) -> Diner:
    """Return a diner. Raises DinerNotFound."""
    row = session.get(Diner, user_id)
    if row is None:
        raise DinerNotFound()
    return row


def add_preferences(session: Session, user_id: UUID, new: Preferences) -> Diner:
    """Merge preferences into a diner's. Raises DinerNotFound, TooManyPreferences."""
    diner = session.get(Diner, user_id, with_for_update=True)
    if diner is None:
        raise DinerNotFound()
    merged = merge(diner.preferences, new)
    if len(json.dumps(merged)) > PREFERENCES_MAX:
        raise TooManyPreferences(max_bytes=PREFERENCES_MAX)
    diner.preferences = merged
    return diner


def delete_diner(session: Session, user_id: UUID) -> None:
    """Forget a diner with all that dining keeps of them; the account stays.

    Raises DinerNotFound."""
    session.delete(get_diner(session, user_id))


def sign_up(session: Session, *, email: str, username: str, password: str) -> User:
    """Make an account by dining's door. Raises EmailTaken, UsernameTaken, and as `register`."""
    try:
        return register(session, email=email, username=username, password=password)
    except DuplicateUser as taken:
        raise (EmailTaken if taken.details["field"] == "email" else UsernameTaken)() from None


def log_in_verified(session: Session, *, email: str, password: str, address: str) -> User:
    """Return whose credentials these are. Raises WrongCredentials, EmailNotVerified."""
    try:
        user = log_in(session, identifier=email, password=password, address=address)
    except InvalidCredentials:
        raise WrongCredentials() from None
    if not user.verified:
        raise EmailNotVerified()
    return user
