"""Messages: a tree in which every alternate is kept, and one branch is on show.

A message stands below the one that it answers; messages below the same one are alternates of each
other, and one of them is the chosen one. The branch on show is that of the chosen ones; the session
names its last message.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import (
    CTE,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    String,
    Table,
    and_,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlmodel import Field, Session, SQLModel

from models.base import jsonb, now, one_of, timestamp
from models.books.sessions import ChatSession, locked
from models.errors import NotFound

PREVIEW_CHARS = 140  # two lines of a list


class Author(StrEnum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"
    CHARACTER = "character"


class ChatMessage(SQLModel, table=True):
    """One message of a conversation."""

    __tablename__ = "chat_message"
    __table_args__ = (
        CheckConstraint(f"role IN ({one_of(Author)})", name="role_is_known"),
        Index("ix_chat_message_session_id_position", "session_id", "position"),
        Index(
            "uq_chat_message_chosen",
            "session_id",
            "parent_id",
            unique=True,
            postgresql_where=text("chosen"),
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: UUID = Field(primary_key=True)  # derived from the job that wrote it
    session_id: UUID = Field(foreign_key="chat_session.id", ondelete="CASCADE")
    parent_id: UUID | None = Field(
        default=None, foreign_key="chat_message.id", ondelete="CASCADE", index=True
    )
    chosen: bool = True  # among its alternates
    position: int  # on its branch, from 1, dense
    role: Author = Field(sa_column=Column(String, nullable=False))
    character_id: UUID | None = Field(
        default=None, foreign_key="character.id", ondelete="SET NULL", index=True
    )
    content: str
    summary: str | None = None  # of its branch up to here; written once
    sources: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=jsonb(nullable=False, default="[]")
    )
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=jsonb(nullable=False, default="{}")
    )
    created_at: datetime = timestamp(default_now=True)


class Source(BaseModel):
    """A passage that a reply was written from."""

    id: str
    index: int  # place in the book, from 0
    chapter: int | None  # from 1
    chapter_title: str
    start: int | None  # characters of the book's text
    end: int | None
    excerpt: str
    quotes: list[str]  # the speaker's own words in it


class MessageNotFound(NotFound):
    """There is no such message."""

    code = "message_not_found"


message = cast(Table, ChatMessage.__table__)  # type: ignore[attr-defined]
GoOn = Callable[[CTE], ColumnElement[bool]]


def get_message(session: Session, message_id: UUID, *, owner: UUID) -> ChatMessage:
    """Return a message of one of the owner's conversations. Raises MessageNotFound."""
    found = session.get(ChatMessage, message_id)
    if found is None or session.get_one(ChatSession, found.session_id).user_id != owner:
        raise MessageNotFound()
    return found


def branch(session: Session, leaf: UUID | None, *, limit: int) -> list[ChatMessage]:
    """Return the last `limit` messages of the branch that ends with `leaf`, oldest first."""
    return _walk(session, leaf, lambda walk: walk.c.step < limit)


def branch_from(
    session: Session, leaf: UUID | None, *, after: int, limit: int
) -> list[ChatMessage]:
    """Return the first `limit` messages beyond position `after` of a branch, oldest first."""
    return _walk(session, leaf, lambda walk: walk.c.position > after + 1, after, limit)


def remembered(
    session: Session, leaf: UUID | None, *, at_least: int, at_most: int
) -> list[ChatMessage]:
    """Return a branch back to its last summary, oldest first; `at_least` so many, if it has them.

    The message with the summary is the first one, unless it is nearer than `at_least`.
    """
    return _walk(
        session,
        leaf,
        lambda walk: and_(
            walk.c.step < at_most, or_(walk.c.summary.is_(None), walk.c.step < at_least)
        ),
    )


def _ancestors(leaf: UUID, go_on: GoOn) -> CTE:
    """Return `leaf` and those above it, as long as `go_on` says so of the one below."""
    columns = (message.c.id, message.c.parent_id, message.c.position, message.c.summary)
    walk = (
        select(*columns, literal(1).label("step"))
        .where(message.c.id == leaf)
        .cte("walk", recursive=True)
    )
    above = select(*columns, (walk.c.step + 1).label("step"))
    return walk.union_all(
        above.join_from(walk, message, message.c.id == walk.c.parent_id).where(go_on(walk))
    )


def _walk(
    session: Session, leaf: UUID | None, go_on: GoOn, after: int = 0, limit: int | None = None
) -> list[ChatMessage]:
    if leaf is None:
        return []
    walk = _ancestors(leaf, go_on)
    query = select(ChatMessage).join(walk, walk.c.id == message.c.id)
    query = query.where(walk.c.position > after).order_by(walk.c.position).limit(limit)
    return list(session.execute(query).scalars())


def _beside(one: ChatMessage) -> ColumnElement[bool]:
    """Return the condition of a message and its alternates."""
    same = message.c.parent_id.is_not_distinct_from(one.parent_id)
    return and_(same, message.c.session_id == one.session_id, message.c.position == one.position)


def alternates(session: Session, one: ChatMessage) -> list[ChatMessage]:
    """Return a message and its alternates, in the order in which they were written."""
    query = select(ChatMessage).where(_beside(one))
    return list(session.execute(query.order_by(message.c.created_at, message.c.id)).scalars())


def alternate_ids(session: Session, messages: Iterable[ChatMessage]) -> dict[UUID, list[UUID]]:
    """Return, by message, the ids of it and its alternates, in the order of their writing."""
    shown = list(messages)
    parents = [one.parent_id for one in shown if one.parent_id]
    roots = [one.session_id for one in shown if one.parent_id is None]
    query = (
        select(message.c.id, message.c.parent_id)
        .where(
            or_(
                message.c.parent_id.in_(parents),
                and_(message.c.session_id.in_(roots), message.c.position == 1),
            )
        )
        .order_by(message.c.created_at, message.c.id)
    )
    below: dict[UUID | None, list[UUID]] = {}
    for id_, parent_id in session.execute(query):
        below.setdefault(parent_id, []).append(id_)
    return {one.id: below[one.parent_id] for one in shown}


def attach(
    session: Session, session_id: UUID, parent_id: UUID | None, *messages: ChatMessage
) -> None:
    """Keep messages, each below the one before, the first below `parent_id`; show their branch.

    One that is kept already gets the words it has now, where it stands. Raises SessionNotFound.
    """
    chat = locked(session, session_id)
    above = session.get_one(ChatMessage, parent_id) if parent_id else None
    for one in messages:
        if (known := session.get(ChatMessage, one.id)) is not None:
            known.content, known.sources, known.details = one.content, one.sources, one.details
            if chat.leaf_id == known.id:
                chat.last_message_preview = known.content[:PREVIEW_CHARS]
            above = known
            continue
        one.session_id, one.parent_id = chat.id, above.id if above else None
        one.position = above.position + 1 if above else 1
        one.chosen = one.parent_id == chat.leaf_id  # else `show` makes room for it first
        session.add(one)
        session.flush()
        show(session, chat, one)
        above = one
    chat.active_at = chat.last_message_at = now()
    session.flush()


def choose(session: Session, chat: ChatSession, one: ChatMessage) -> None:
    """Show a message's branch, as far down as it was chosen before. `chat` is locked."""
    below = (
        select(message.c.id, message.c.position)
        .where(message.c.id == one.id)
        .cte("below", recursive=True)
    )
    next_ = select(message.c.id, message.c.position).join_from(
        below, message, and_(message.c.parent_id == below.c.id, message.c.chosen)
    )
    below = below.union_all(next_)
    leaf = select(below.c.id).order_by(below.c.position.desc()).limit(1)
    show(session, chat, session.get_one(ChatMessage, session.execute(leaf).scalar_one()))


def show(session: Session, chat: ChatSession, leaf: ChatMessage) -> None:
    """Put the branch that ends with `leaf` on show. `chat` is locked."""
    grown = leaf.chosen and leaf.parent_id == chat.leaf_id
    if not grown:
        walk = _ancestors(leaf.id, lambda _: literal(True))
        hidden = select(ChatMessage).join(walk, walk.c.id == message.c.id).where(~message.c.chosen)
        for one in session.execute(hidden).scalars().all():
            session.execute(update(ChatMessage).where(_beside(one)).values(chosen=False))
            session.execute(update(ChatMessage).where(message.c.id == one.id).values(chosen=True))
    chat.leaf_id, chat.message_count = leaf.id, leaf.position
    chat.last_message_preview = leaf.content[:PREVIEW_CHARS]
    if not grown:
        chat.summary, chat.summarised_up_to = _memory(session, leaf.id)
    session.add(chat)
    session.flush()


def _memory(session: Session, leaf: UUID) -> tuple[str, int]:
    """Return the newest summary of a branch, and up to which position it reaches."""
    walk = _ancestors(leaf, lambda walk: walk.c.summary.is_(None))
    query = select(walk.c.summary, walk.c.position).where(walk.c.summary.is_not(None))
    found = session.execute(query).one_or_none()
    return (found.summary, found.position) if found else ("", 0)
