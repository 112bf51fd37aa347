"""Conversations with characters."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, String
from sqlmodel import Field, Session, SQLModel, select

from models.base import jsonb, new_id, now, one_of, timestamp
from models.books.library import Character
from models.errors import Busy, NotFound, Unprocessable
from models.jobs.tables import TERMINAL, Job


class Author(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"
    CHARACTER = "character"


class ChatSession(SQLModel, table=True):
    """A conversation of one person with one character."""

    __tablename__ = "chat_session"
    __table_args__ = (Index("ix_chat_session_user_id_id", "user_id", "id"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    character_id: UUID = Field(foreign_key="character.id", ondelete="CASCADE", index=True)
    book_id: UUID = Field(foreign_key="book.id", ondelete="CASCADE", index=True)
    title: str = ""
    summary: str = ""
    last_message_at: datetime | None = timestamp(nullable=True)
    last_message_preview: str = ""
    message_count: int = 0
    is_archived: bool = False
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    created_at: datetime = timestamp(default_now=True)


class ChatMessage(SQLModel, table=True):
    """One message of a conversation."""

    __tablename__ = "chat_message"
    __table_args__ = (
        CheckConstraint(f"role IN ({one_of(Author)})", name="role_is_known"),
        Index("ix_chat_message_session_id_position", "session_id", "position", unique=True),
    )

    id: UUID = Field(primary_key=True)  # derived from the job that wrote it
    session_id: UUID = Field(foreign_key="chat_session.id", ondelete="CASCADE")
    position: int  # from 1, dense
    role: Author = Field(sa_column=Column(String, nullable=False))
    content: str
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=jsonb(nullable=False, default="{}")
    )
    created_at: datetime = timestamp(default_now=True)


class SessionNotFound(NotFound):
    """There is no such chat session."""

    code = "session_not_found"


class SessionBusy(Busy):
    """Another reply is being written in this session."""

    code = "session_busy"


class NotVoiced(Unprocessable):
    """This character was not given a voice."""

    code = "character_not_voiced"


def open_session(session: Session, character: Character, *, user: UUID, title: str) -> ChatSession:
    """Return a new conversation with a character. Raises NotVoiced."""
    if not character.system_prompt:
        raise NotVoiced(name=character.name)
    opened = ChatSession(
        user_id=user,
        character_id=character.id,
        book_id=character.book_id,
        title=title or f"A talk with {character.name}",
    )
    session.add(opened)
    session.flush()
    return opened


def get_session(session: Session, session_id: UUID, *, owner: UUID) -> ChatSession:
    """Return the owner's conversation. Raises SessionNotFound."""
    found = session.get(ChatSession, session_id)
    if found is None or found.user_id != owner:
        raise SessionNotFound()
    return found


def lock_session(session: Session, session_id: UUID, *, owner: UUID) -> ChatSession:
    """Return the conversation if no reply is being written in it; the caller starts one.

    The lock is the job that writes the reply: it holds for as long as that job is alive, and the
    engine sees to it that every job ends. Raises SessionNotFound, SessionBusy (naming the job).
    """
    get_session(session, session_id, owner=owner)
    found = session.exec(
        select(ChatSession).where(ChatSession.id == session_id).with_for_update()
    ).one()
    writing = session.get(Job, found.job_id) if found.job_id else None
    if writing is not None and writing.status not in TERMINAL:
        raise SessionBusy(job_id=str(writing.id))
    return found


def recent_messages(session: Session, session_id: UUID, limit: int) -> list[ChatMessage]:
    """Return the last messages of a conversation, oldest first."""
    query = (
        select(ChatMessage)
        .where(ChatMessage.session_id == session_id)
        .order_by(ChatMessage.position.desc())  # type: ignore[attr-defined]
        .limit(limit)
    )
    return list(reversed(session.exec(query).all()))


def list_messages(
    session: Session, session_id: UUID, *, after: int, limit: int
) -> list[ChatMessage]:
    """Return a conversation's messages, oldest first, beyond position `after`."""
    query = (
        select(ChatMessage)
        .where(ChatMessage.session_id == session_id, ChatMessage.position > after)
        .order_by(ChatMessage.position)  # type: ignore[arg-type]
        .limit(limit)
    )
    return list(session.exec(query))


def add_messages(session: Session, session_id: UUID, *messages: ChatMessage) -> None:
    """Append messages to a conversation, in order."""
    locked = session.exec(
        select(ChatSession).where(ChatSession.id == session_id).with_for_update()
    ).one()
    count = locked.message_count = locked.message_count + len(messages)
    locked.last_message_at = now()
    locked.last_message_preview = messages[-1].content[:140]
    session.add(locked)
    for place, message in enumerate(messages, start=count - len(messages) + 1):
        message.position = place
        session.add(message)
    session.flush()
