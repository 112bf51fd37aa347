"""Dining's doors: people who sign up, and the service that keeps the records of diners."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, EmailStr, StringConstraints

from api.accounts import welcome
from api.deps import DOOR, Address, SessionDep, calling_service
from api.dialects import speaking
from models.accounts import issue_token, verify_email
from models.dining import (
    Diner,
    Preferences,
    add_preferences,
    delete_diner,
    get_diner,
    log_in_verified,
    provision_diner,
    sign_up,
)  # fmt: skip

accounts = APIRouter(tags=["dining-accounts", "accounts"], **speaking("dining-accounts"))
users = APIRouter(
    prefix="/users",
    tags=["dining"],
    **speaking("dining", calling_service),
)


class SignUp(BaseModel):
    """Who wants to eat."""

    username: Annotated[str, StringConstraints(min_length=1, max_length=150)]
    email: EmailStr
    password: str


class LogIn(BaseModel):
    """Who comes back."""

    email: str
    password: str


class Message(BaseModel):
    """What there is to say."""

    message: str


class LoggedIn(Message):
    """Who it is: the `X-User-ID` of later requests."""

    auth_id: UUID


class NewDiner(BaseModel):
    """A person as the calling service knows them."""

    email: EmailStr | None = None


class DinerCreated(BaseModel):
    """A diner, and whether they are new."""

    uid: UUID
    created: bool


class DinerPublic(BaseModel):
    """A diner's profile."""

    uid: UUID
    preferences: dict[str, Any]
    allergies: dict[str, Any]
    allergy_flags: list[str]
    dietary_flags: list[str]
    interaction_count: int
    last_active_at: datetime | None


class DinerPreferences(BaseModel):
    """A diner's preferences, merged."""

    uid: UUID
    preferences: dict[str, Any]


def _public(row: Diner) -> DinerPublic:
    flags = {"allergy_flags": row.allergy_flags, "dietary_flags": row.dietary_flags}
    return DinerPublic(uid=row.user_id, **row.model_dump(), **flags)


@accounts.post("/api/signup/", dependencies=[DOOR])
def sign_up_here(body: SignUp, session: SessionDep) -> Message:
    """Make an account, and a diner's record with it. A mail with a link comes."""
    welcome(session, sign_up(session, **body.model_dump()))
    return Message(message="Signup successful. Please verify your email.")


@accounts.post("/api/login/", dependencies=[DOOR])
def log_in_here(body: LogIn, session: SessionDep, address: Address, response: Response) -> LoggedIn:
    """Check credentials. `X-Access-Token` in the answer is a bearer token for all other routes."""
    user = log_in_verified(session, **body.model_dump(), address=address)
    response.headers["X-Access-Token"] = issue_token(session, user.id)
    return LoggedIn(message="Login successful", auth_id=user.id)


@accounts.get("/api/verify/{token}/", dependencies=[DOOR])
def verify_here(token: str, session: SessionDep) -> Message:
    """Take the proof of an email address from the link of a mail; a link is good once."""
    verify_email(session, token)
    return Message(message="Email verified successfully. You can now log in.")


@users.post("/{uid}", status_code=201, responses={200: {"model": DinerCreated}})
def create_user(uid: UUID, body: NewDiner, session: SessionDep, response: Response) -> DinerCreated:
    """Make a diner's record; 200 if there was one."""
    created = provision_diner(session, uid, email=body.email)
    response.status_code = 201 if created else 200
    return DinerCreated(uid=uid, created=created)


@users.get("/{uid}")
def read_user(uid: UUID, session: SessionDep) -> DinerPublic:
    """A diner's profile: preferences, allergies, and the flags drawn from them."""
    return _public(get_diner(session, uid))


@users.patch("/{uid}/preferences")
def merge_preferences(uid: UUID, body: Preferences, session: SessionDep) -> DinerPreferences:
    """Merge preferences deeply; arrays unite."""
    return DinerPreferences(uid=uid, preferences=add_preferences(session, uid, body).preferences)


@users.delete("/{uid}", status_code=204)
def delete_user(uid: UUID, session: SessionDep) -> None:
    """Forget a diner with everything dining keeps of them."""
    delete_diner(session, uid)
