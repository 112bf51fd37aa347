"""Credentials of model providers: stored sealed, used by steps, shown to nobody.

Whoever needs the secret names the credential by its id, so no input, message, event or log line
ever holds one. `last4` lets people tell their keys apart.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, SecretStr, StringConstraints
from sqlalchemy import UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, col, select

from config.crypto import Unsealable, seal, unseal
from models.base import new_id, now, timestamp
from models.errors import Conflict, NotFound, Unprocessable

SHOWN = 4  # characters of a secret that its owner may see again
SHOWN_FROM = 12  # of a shorter one none: four would be too much of it

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class CredentialNotFound(NotFound):
    """There is no such credential."""

    code = "credential_not_found"


class DuplicateCredential(Conflict):
    """You have a credential of this name for this provider already."""

    code = "duplicate_credential"


class CredentialUnavailable(Unprocessable):
    """This credential was sealed with a key that this server no longer has. Enter it again."""

    code = "credential_unavailable"


class CredentialCreate(BaseModel):
    """A secret to keep."""

    provider: Line
    name: Line
    api_base: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    secret: SecretStr = Field(min_length=1, max_length=8000)


class CredentialPublic(BaseModel):
    """A credential as its owner sees it."""

    id: UUID
    provider: str
    name: str
    api_base: str
    last4: str
    created_at: datetime
    changed_at: datetime


class Credential(SQLModel, table=True):
    """A sealed secret."""

    __table_args__ = (UniqueConstraint("owner_id", "provider", "name"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    provider: str
    name: str
    api_base: str
    sealed: str = Field(repr=False)
    last4: str
    created_at: datetime = timestamp(default_now=True)
    changed_at: datetime = timestamp(default_now=True)


def keep_credential(session: Session, new: CredentialCreate, *, owner: UUID) -> Credential:
    """Seal and store a secret. Raises DuplicateCredential."""
    row = Credential(
        owner_id=owner,
        provider=new.provider,
        name=new.name,
        api_base=new.api_base,
        sealed=seal(new.secret.get_secret_value()),
        last4=_shown(new.secret),
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise DuplicateCredential() from None
    return row


def get_credential(session: Session, credential_id: UUID, *, owner: UUID) -> Credential:
    """Return one of somebody's credentials. Raises CredentialNotFound."""
    query = select(Credential).where(Credential.id == credential_id, Credential.owner_id == owner)
    row = session.exec(query).one_or_none()
    if row is None:
        raise CredentialNotFound()
    return row


def list_credentials(session: Session, *, owner: UUID) -> list[Credential]:
    """Return somebody's credentials, oldest first."""
    query = select(Credential).where(Credential.owner_id == owner).order_by(col(Credential.id))
    return list(session.exec(query))


def change_secret(
    session: Session, credential_id: UUID, secret: SecretStr, *, owner: UUID
) -> Credential:
    """Put another secret in place of the one that is kept. Raises CredentialNotFound."""
    row = get_credential(session, credential_id, owner=owner)
    row.sealed, row.last4 = seal(secret.get_secret_value()), _shown(secret)
    row.changed_at = now()
    return row


def delete_credential(session: Session, credential_id: UUID, *, owner: UUID) -> None:
    """Forget a secret. Raises CredentialNotFound."""
    session.delete(get_credential(session, credential_id, owner=owner))


def open_credential(session: Session, credential_id: UUID, *, owner: UUID) -> SecretStr:
    """Return the secret itself, for who is about to use it on the owner's behalf.

    Raises CredentialNotFound, CredentialUnavailable.
    """
    row = get_credential(session, credential_id, owner=owner)
    try:
        return SecretStr(unseal(row.sealed))
    except Unsealable:
        raise CredentialUnavailable() from None


def _shown(secret: SecretStr) -> str:
    return secret.get_secret_value()[-SHOWN:] if len(secret) >= SHOWN_FROM else ""
