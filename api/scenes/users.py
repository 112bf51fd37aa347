"""Who plays: coming in by scenes' door, profiles, preferences, items and skills."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sqlmodel import Session

from api.deps import DOOR, Address, BearerToken, CurrentUser, SessionDep
from api.dialects import Envelope, WrapDep, speaking
from models.accounts import (
    Credentials,
    User,
    issue_token,
    log_in_with,
    revoke_token,
    token_row,
    trusted_id,
)  # fmt: skip
from models.scenes.users import (
    ForeignUser,
    ItemCreate,
    ItemPublic,
    Profile,
    ProfileUpdate,
    SkillCreate,
    SkillPublic,
    UserItem,
    UserPreferences,
    UserSkill,
    add_owned,
    change_owned,
    change_preferences,
    change_profile,
    get_owned,
    get_profile,
    list_owned,
    preferences_of,
)  # fmt: skip

auth = APIRouter(prefix="/api/auth", tags=["scenes", "accounts"], **speaking("scenes"))
router = APIRouter(prefix="/api/users/{user_id}", tags=["scenes"], **speaking("scenes"))


class Opened(BaseModel):
    """A bearer token, and whose it is."""

    token: str
    user_id: UUID


class Gone(BaseModel):
    """What is no more."""

    id: UUID


class UserDetail(BaseModel):
    """A person as they see themselves."""

    id: UUID
    username: str | None
    email: str | None
    display_name: str
    bio: str
    avatar: str
    preferences: UserPreferences
    items: list[ItemPublic]
    skills: list[SkillPublic]
    created_at: datetime
    last_login: datetime | None
    last_updated: datetime


def own_user(user_id: str, user: CurrentUser) -> User:
    """Return who asks, if the path is about them. Raises ForeignUser."""
    if trusted_id(user_id) != user.id:
        raise ForeignUser()
    return user


OwnUser = Annotated[User, Depends(own_user)]


@auth.post("/login", dependencies=[DOOR])
def log_in_here(
    body: Credentials, session: SessionDep, address: Address, wrap: WrapDep
) -> Envelope[Opened]:
    """Trade credentials for a bearer token."""
    user = log_in_with(session, body, address=address)
    opened = Opened(token=issue_token(session, user.id), user_id=user.id)
    return wrap(opened, "Logged in")


@auth.post("/logout")
def log_out(token: BearerToken, session: SessionDep, wrap: WrapDep) -> Envelope[None]:
    """End the token that this request carries."""
    revoke_token(token_row(session, token))
    return wrap(None, "Logged out")


def _detail(session: Session, user: User, profile: Profile) -> UserDetail:
    items = list_owned(session, UserItem, owner=user.id)
    skills = list_owned(session, UserSkill, owner=user.id)
    told = profile.model_dump(exclude={"preferences"}) | user.model_dump(warnings=False)
    return UserDetail(
        **told,
        preferences=preferences_of(profile),
        items=[_item(row) for row in items],
        skills=[_skill(row) for row in skills],
        last_login=user.last_login_at,
        last_updated=profile.updated_at,
    )


def _item(row: UserItem) -> ItemPublic:
    return ItemPublic.model_validate(row.model_dump())


def _skill(row: UserSkill) -> SkillPublic:
    return SkillPublic.model_validate(row.model_dump())


@router.get("")
def read_user(user: OwnUser, session: SessionDep, wrap: WrapDep) -> Envelope[UserDetail]:
    """Your profile with preferences, items and skills."""
    return wrap(_detail(session, user, get_profile(session, owner=user.id)))


@router.put("")
def change_user(
    body: ProfileUpdate, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[UserDetail]:
    """Change what you say of yourself; what is left out stays."""
    profile = change_profile(session, body, owner=user.id)
    return wrap(_detail(session, user, profile), "User updated")


@router.get("/preferences")
def read_preferences(
    user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[UserPreferences]:
    """How you want to be told stories."""
    return wrap(preferences_of(get_profile(session, owner=user.id)))


@router.put("/preferences")
def put_preferences(
    body: UserPreferences, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[UserPreferences]:
    """Change preferences; what is left out stays."""
    profile = change_preferences(session, body, owner=user.id)
    return wrap(preferences_of(profile), "Preferences updated")


@router.get("/items")
def read_items(user: OwnUser, session: SessionDep, wrap: WrapDep) -> Envelope[list[ItemPublic]]:
    """Your items, oldest first."""
    return wrap([_item(row) for row in list_owned(session, UserItem, owner=user.id)])


@router.post("/items", status_code=201)
def add_item(
    body: ItemCreate, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[ItemPublic]:
    """Make up an item."""
    return wrap(_item(add_owned(session, UserItem, body, owner=user.id)), "Item created")


@router.get("/items/{item_id}")
def read_item(
    item_id: UUID, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[ItemPublic]:
    """One of your items."""
    return wrap(_item(get_owned(session, UserItem, item_id, owner=user.id)))


@router.put("/items/{item_id}")
def put_item(
    item_id: UUID, body: ItemCreate, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[ItemPublic]:
    """Make an item what you say now."""
    row = get_owned(session, UserItem, item_id, owner=user.id)
    return wrap(_item(change_owned(row, body)), "Item updated")


@router.delete("/items/{item_id}")
def delete_item(item_id: UUID, user: OwnUser, session: SessionDep, wrap: WrapDep) -> Envelope[Gone]:
    """Throw an item away."""
    session.delete(get_owned(session, UserItem, item_id, owner=user.id))
    return wrap(Gone(id=item_id), "Item deleted")


@router.get("/skills")
def read_skills(user: OwnUser, session: SessionDep, wrap: WrapDep) -> Envelope[list[SkillPublic]]:
    """Your skills, oldest first."""
    return wrap([_skill(row) for row in list_owned(session, UserSkill, owner=user.id)])


@router.post("/skills", status_code=201)
def add_skill(
    body: SkillCreate, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[SkillPublic]:
    """Make up a skill."""
    return wrap(_skill(add_owned(session, UserSkill, body, owner=user.id)), "Skill created")


@router.get("/skills/{skill_id}")
def read_skill(
    skill_id: UUID, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[SkillPublic]:
    """One of your skills."""
    return wrap(_skill(get_owned(session, UserSkill, skill_id, owner=user.id)))


@router.put("/skills/{skill_id}")
def put_skill(
    skill_id: UUID, body: SkillCreate, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[SkillPublic]:
    """Make a skill what you say now."""
    row = get_owned(session, UserSkill, skill_id, owner=user.id)
    return wrap(_skill(change_owned(row, body)), "Skill updated")


@router.delete("/skills/{skill_id}")
def delete_skill(
    skill_id: UUID, user: OwnUser, session: SessionDep, wrap: WrapDep
) -> Envelope[Gone]:
    """Unlearn a skill."""
    session.delete(get_owned(session, UserSkill, skill_id, owner=user.id))
    return wrap(Gone(id=skill_id), "Skill deleted")
