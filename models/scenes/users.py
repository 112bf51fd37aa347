"""Who plays: a profile, preferences, and the items and skills somebody has made up."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic import Field as Bounded
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import new_id, now, timestamp
from models.errors import Forbidden, NotFound

Line = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Prose = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00]*$")]
Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Tags = Annotated[list[Line], Bounded(max_length=50)]


class ForeignUser(Forbidden):
    """You may see and change only what is yours."""

    code = "foreign_user"


class UserItemNotFound(NotFound):
    """You have no such item."""

    code = "user_item_not_found"


class UserSkillNotFound(NotFound):
    """You have no such skill."""

    code = "user_skill_not_found"


class UserPreferences(BaseModel):
    """How somebody wants to be told stories."""

    model_config = ConfigDict(protected_namespaces=())

    creativity_level: Literal["STRICT", "BALANCED", "EXPANSIVE"] = "BALANCED"
    allow_plot_twists: bool = True
    response_length: Literal["short", "medium", "long"] = "medium"
    language_style: Literal["casual", "formal", "dramatic"] = "casual"
    notification_level: Line = "important"
    dark_mode: bool = False
    preferred_model: Line = ""
    auto_save: bool = True


class ProfileUpdate(BaseModel):
    """What a person may say of themselves; what is left out stays."""

    display_name: Line | None = None
    bio: Prose | None = None
    avatar: Url | None = None


class Effect(BaseModel):
    """What an item or a skill does."""

    target: Literal["self", "other", "all"] = "self"
    type: Literal["health", "mood", "stat", "special"] = "special"
    value: Annotated[int, Bounded(ge=-1_000_000, le=1_000_000)] = 0
    description: Prose = ""
    duration: Annotated[int, Bounded(ge=0, le=1_000_000)] = 0  # turns; 0: at once
    probability: Annotated[float, Bounded(ge=0, le=1)] = 1.0


class ItemCreate(BaseModel):
    """An item to carry into scenes."""

    name: Name
    description: Prose = ""
    icon_url: Url = ""
    effects: Annotated[list[Effect], Bounded(max_length=50)] = []
    tags: Tags = []


class SkillCreate(ItemCreate):
    """Something somebody can do."""

    category: Line = ""
    cooldown: Annotated[int, Bounded(ge=0, le=1_000_000)] = 0  # turns
    requirements: Tags = []


class ItemPublic(ItemCreate):
    """An item as its owner sees it."""

    id: UUID
    created: datetime
    updated: datetime


class SkillPublic(SkillCreate):
    """A skill as its owner sees it."""

    id: UUID
    created: datetime
    updated: datetime


class Profile(SQLModel, table=True):
    """What scenes knows of a person."""

    __tablename__ = "scenes_profile"

    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    display_name: str = ""
    bio: str = ""
    avatar: str = ""
    preferences: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False)
    )
    updated_at: datetime = timestamp(default_now=True)


class _Owned(SQLModel):
    """What items and skills have in common."""

    missing: ClassVar[type[NotFound]]

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    name: str
    description: str
    icon_url: str
    effects: list[dict[str, Any]] = Field(sa_type=JSONB)
    tags: list[str] = Field(sa_type=JSONB)
    created: datetime = timestamp(default_now=True)
    updated: datetime = timestamp(default_now=True)


class UserItem(_Owned, table=True):
    """An item of somebody's own making."""

    __tablename__ = "scenes_user_item"
    missing: ClassVar[type[NotFound]] = UserItemNotFound


class UserSkill(_Owned, table=True):
    """A skill of somebody's own making."""

    __tablename__ = "scenes_user_skill"
    missing: ClassVar[type[NotFound]] = UserSkillNotFound

    category: str
    cooldown: int
    requirements: list[str] = Field(sa_type=JSONB)


Owned = TypeVar("Owned", bound=_Owned)


def get_profile(session: Session, *, owner: UUID) -> Profile:
    """Return somebody's profile, made on first use."""
    session.execute(
        insert(Profile)
        .values(user_id=owner, display_name="", bio="", avatar="", preferences={}, updated_at=now())
        .on_conflict_do_nothing()
    )
    return session.get_one(Profile, owner)


def change_profile(session: Session, change: ProfileUpdate, *, owner: UUID) -> Profile:
    """Change what was said; the rest stays."""
    profile = get_profile(session, owner=owner)
    profile.sqlmodel_update(change.model_dump(exclude_none=True) | {"updated_at": now()})
    return profile


def preferences_of(profile: Profile) -> UserPreferences:
    """Return somebody's preferences, with defaults for what they never chose."""
    return UserPreferences.model_validate(profile.preferences)


def change_preferences(session: Session, change: UserPreferences, *, owner: UUID) -> Profile:
    """Change the preferences that were given; the rest stays."""
    profile = get_profile(session, owner=owner)
    profile.preferences = profile.preferences | change.model_dump(exclude_unset=True)
    profile.updated_at = now()
    return profile


def list_owned(session: Session, kind: type[Owned], *, owner: UUID) -> list[Owned]:
    """Return somebody's items or skills, oldest first."""
    query = select(kind).where(kind.owner_id == owner).order_by(col(kind.id))
    return list(session.exec(query))


def get_owned(session: Session, kind: type[Owned], id: UUID, *, owner: UUID) -> Owned:
    """Return an item or a skill. Raises UserItemNotFound, UserSkillNotFound."""
    row = session.get(kind, id)
    if row is None or row.owner_id != owner:
        raise kind.missing()
    return row


def add_owned(session: Session, kind: type[Owned], new: ItemCreate, *, owner: UUID) -> Owned:
    """Add an item or a skill."""
    row = kind(owner_id=owner, **new.model_dump())
    session.add(row)
    session.flush()
    return row


def change_owned(row: Owned, new: ItemCreate) -> Owned:
    """Make an item or a skill what is said now."""
    row.sqlmodel_update(new.model_dump() | {"updated": now()})
    return row
