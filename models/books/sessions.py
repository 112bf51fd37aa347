"""Conversations: who takes part, how far the reader has read, which branch is on show."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Bounded
from sqlalchemy import CheckConstraint, Index, tuple_
from sqlmodel import Field, Session, SQLModel, col, select

from models.base import jsonb, new_id, timestamp
from models.books.horizon import check_met
from models.books.library import Character
from models.errors import Invalid, NotFound, Unprocessable

Title = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
]  # Postgres takes no NUL
MAX_CAST = 8  # members of a group; each has to get a turn


class ChatSession(SQLModel, table=True):
    """A conversation of one person with one character or several."""

    __tablename__ = "chat_session"
    __table_args__ = (
        CheckConstraint("up_to_chapter > 0", name="up_to_chapter_is_positive"),
        Index("ix_chat_session_user_id_active_at", "user_id", "active_at", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    character_id: UUID = Field(foreign_key="character.id", ondelete="CASCADE", index=True)
    book_id: UUID = Field(foreign_key="book.id", ondelete="CASCADE", index=True)
    title: str = ""
    up_to_chapter: int | None = None  # chapters that the reader has read; empty: all
    preferences: dict[str, Any] = Field(
        default_factory=dict, sa_column=jsonb(nullable=False, default="{}")
    )
    # What follows describes the branch on show.
    leaf_id: UUID | None = None  # its last message, which goes only with the session
    message_count: int = 0
    last_message_at: datetime | None = timestamp(nullable=True)
    last_message_preview: str = ""
    summary: str = ""  # of its messages up to `summarised_up_to`, for memory
    summarised_up_to: int = 0  # a message's position; 0: nothing yet
    is_archived: bool = False
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    memory_job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    active_at: datetime = timestamp(default_now=True)
    created_at: datetime = timestamp(default_now=True)


class ChatMember(SQLModel, table=True):
    """A character that takes part in a conversation."""

    __tablename__ = "chat_member"

    session_id: UUID = Field(primary_key=True, foreign_key="chat_session.id", ondelete="CASCADE")
    character_id: UUID = Field(
        primary_key=True, foreign_key="character.id", ondelete="CASCADE", index=True
    )
    place: int  # from 0; the first is the session's own character


class SessionNotFound(NotFound):
    """There is no such chat session."""

    code = "session_not_found"


class NotVoiced(Unprocessable):
    """This character was not given a voice."""

    code = "character_not_voiced"


class MixedCast(Unprocessable):
    """A group takes up to 8 different characters of one book."""

    code = "mixed_cast"


class InvalidPlace(Invalid):
    """This is not the `next` of a page of conversations."""

    code = "invalid_place"


class Place(NamedTuple):
    """Where a page of conversations ends."""

    active_at: datetime
    id: UUID

    def __str__(self) -> str:
        """Return the cursor that `parse` understands."""
        return f"{self.active_at.isoformat()}~{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place that a cursor names. Raises InvalidPlace."""
        at, _, id_ = text.replace(" ", "+").partition("~")  # a plus sign that nobody has quoted
        try:
            found = cls(datetime.fromisoformat(at), UUID(id_))
        except ValueError:
            raise InvalidPlace() from None
        if found.active_at.tzinfo is None:
            raise InvalidPlace()
        return found


class SessionChange(BaseModel):
    """What may be changed in a conversation; what is left out stays."""

    title: Title | None = None
    is_archived: bool | None = None
    up_to_chapter: Annotated[int, Bounded(ge=1, le=100_000)] | None = None


def open_session(
    session: Session,
    character: Character,
    *others: Character,
    user: UUID,
    title: str,
    up_to_chapter: int | None = None,
) -> ChatSession:
    """Return a new conversation with one character or several.

    Raises NotVoiced, MixedCast, NotMetYet.
    """
    cast = [character, *others]
    _check_cast(cast, up_to_chapter)
    names = [one.name for one in cast]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if others else names)
    opened = ChatSession(
        user_id=user,
        character_id=character.id,
        book_id=character.book_id,
        title=title or f"A talk with {listed}",
        up_to_chapter=up_to_chapter,
    )
    session.add(opened)
    session.flush()
    for place, one in enumerate(cast):
        session.add(ChatMember(session_id=opened.id, character_id=one.id, place=place))
    session.flush()
    return opened


def _check_cast(cast: list[Character], up_to_chapter: int | None) -> None:
    if len({one.id for one in cast}) < len(cast) or len(cast) > MAX_CAST:
        raise MixedCast()
    for one in cast:
        if one.book_id != cast[0].book_id:
            raise MixedCast()
        if not one.system_prompt:
            raise NotVoiced(name=one.name)
        check_met(one.name, one.profile, up_to_chapter)


def get_session(session: Session, session_id: UUID, *, owner: UUID) -> ChatSession:
    """Return the owner's conversation. Raises SessionNotFound."""
    found = session.get(ChatSession, session_id)
    if found is None or found.user_id != owner:
        raise SessionNotFound()
    return found


def locked(session: Session, session_id: UUID) -> ChatSession:
    """Return a conversation as it is now, with its row locked. Raises SessionNotFound."""
    query = select(ChatSession).where(ChatSession.id == session_id).with_for_update()
    found = session.exec(query, execution_options={"populate_existing": True}).one_or_none()
    if found is None:
        raise SessionNotFound()
    return found


def list_sessions(
    session: Session,
    *,
    owner: UUID,
    archived: bool | None,
    book_id: UUID | None,
    before: Place | None,
    limit: int,
) -> list[ChatSession]:
    """Return the owner's conversations, newest activity first, those before a place.

    `archived` None: those too.
    """
    order = (col(ChatSession.active_at), col(ChatSession.id))
    query = select(ChatSession).where(ChatSession.user_id == owner)
    query = query.order_by(*(one.desc() for one in order)).limit(limit)
    if archived is not None:
        query = query.where(ChatSession.is_archived == archived)
    if book_id is not None:
        query = query.where(ChatSession.book_id == book_id)
    if before is not None:
        query = query.where(tuple_(*order) < tuple_(*before))
    return list(session.exec(query))


def change_session(chat: ChatSession, change: SessionChange) -> ChatSession:
    """Change what was said. Only the horizon may be taken away by saying nothing (null)."""
    for name in change.model_fields_set:
        value = getattr(change, name)
        if value is not None or name == "up_to_chapter":
            setattr(chat, name, value)
    return chat


def members(session: Session, chat: ChatSession) -> list[Character]:
    """Return who takes part, in the order in which they were named."""
    query = (
        select(Character)
        .join(ChatMember, col(ChatMember.character_id) == Character.id)
        .where(ChatMember.session_id == chat.id)
        .order_by(col(ChatMember.place))
    )
    return list(session.exec(query))


def member_ids(session: Session, chats: Iterable[ChatSession]) -> dict[UUID, list[UUID]]:
    """Return the ids of those who take part, by conversation."""
    found: dict[UUID, list[UUID]] = {one.id: [] for one in chats}
    query = select(ChatMember).where(col(ChatMember.session_id).in_(found))
    for one in session.exec(query.order_by(col(ChatMember.place))):
        found[one.session_id].append(one.character_id)
    return found
