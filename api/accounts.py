"""Coming in and going out, by control's door: one account opens all others too."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import Session

from api.deps import DOOR, Address, BearerToken, CurrentUser, Owner, SessionDep
from api.dialects import speaking
from config.settings import settings
from models.accounts import (
    AccessToken,
    Credentials,
    Role,
    User,
    get_token,
    issue_token,
    list_tokens,
    log_in_with,
    register,
    revoke_token,
    token_row,
)  # fmt: skip
from models.dining import provision_diner
from pipelines.accounts.send_verification import ask_to_verify

router = APIRouter(tags=["control", "accounts"], **speaking("control"))


class Registration(BaseModel):
    """Who wants an account."""

    email: str
    username: str
    password: str


class UserPublic(BaseModel):
    """An account as its owner sees it."""

    id: UUID
    email: str | None
    username: str | None
    role: Role
    is_active: bool
    is_verified: bool
    created_at: datetime


class UserTold(BaseModel):
    """An account."""

    user: UserPublic


class Access(UserTold):
    """A bearer token, which is shown once."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind, not a secret
    expires_in: int  # seconds


class TokenPublic(BaseModel):
    """A token that somebody holds; the token itself is nowhere."""

    id: UUID
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenList(BaseModel):
    """Tokens, newest first."""

    tokens: list[TokenPublic]


class TokenDeleted(BaseModel):
    """Which token opens nothing any more."""

    deleted: bool = True
    token_id: UUID


class VerificationSent(BaseModel):
    """The job that sends the link; none for who is verified already."""

    job_id: UUID | None


def public(user: User) -> UserPublic:
    """Return what an account's owner may see of it."""
    told = user.model_dump(warnings=False)
    return UserPublic(**told, is_active=user.active, is_verified=user.verified)


def welcome(session: Session, user: User) -> User:
    """Give a new account what it needs: a diner's record, and a link to prove its address."""
    provision_diner(session, user.id, email=user.email)
    ask_to_verify(session, user)
    return user


@router.post("/auth/register", status_code=201, dependencies=[DOOR])
def register_account(body: Registration, session: SessionDep) -> UserTold:
    """Make an account. A mail with a link comes to prove the address."""
    user = register(session, **body.model_dump())
    return UserTold(user=public(welcome(session, user)))


@router.post("/auth/login", dependencies=[DOOR])
def log_in_here(body: Credentials, session: SessionDep, address: Address) -> Access:
    """Trade credentials for a bearer token: `identifier`, `email` or `username`, and `password`."""
    user = log_in_with(session, body, address=address)
    lifetime = settings.accounts.token_s
    token = issue_token(session, user.id)
    return Access(user=public(user), access_token=token, expires_in=lifetime)


@router.post("/auth/logout")
def log_out(token: BearerToken, session: SessionDep) -> TokenDeleted:
    """End the token that this request carries."""
    return _revoked(token_row(session, token))


@router.get("/v1/auth/me")
def read_me(user: CurrentUser) -> UserTold:
    """Who you are."""
    return UserTold(user=public(user))


@router.get("/auth/tokens")
def read_tokens(session: SessionDep, owner: Owner) -> TokenList:
    """Your living tokens, newest first."""
    rows = list_tokens(session, owner=owner)
    return TokenList(tokens=[TokenPublic(**row.model_dump()) for row in rows])


@router.delete("/auth/tokens/{token_id}")
def delete_token(token_id: UUID, session: SessionDep, owner: Owner) -> TokenDeleted:
    """End one of your tokens at once."""
    return _revoked(get_token(session, token_id, owner=owner))


def _revoked(row: AccessToken) -> TokenDeleted:
    revoke_token(row)
    return TokenDeleted(token_id=row.id)


@router.post("/auth/verifications", status_code=202, dependencies=[DOOR])
def send_another_link(session: SessionDep, user: CurrentUser) -> VerificationSent:
    """Send another link to prove your address, if that is still to be done."""
    wanted = not user.verified and user.email is not None
    return VerificationSent(job_id=ask_to_verify(session, user).id if wanted else None)
