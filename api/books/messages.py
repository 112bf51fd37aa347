"""What has been said in a conversation: its branches, alternates and sources."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlmodel import Session

from api.books.conversations import SessionPublic, public
from api.deps import Limit, Owner, SessionDep
from api.dialects import speaking
from models.books import messages
from models.books.messages import Author, ChatMessage, MessageNotFound, Source, get_message
from models.books.replies import keep_stopped, lock_session
from models.books.sessions import ChatSession, get_session

router = APIRouter(tags=["books"], **speaking("books"))


class MessagePublic(BaseModel):
    """One message of a conversation."""

    id: UUID
    parent_id: UUID | None
    alternates: list[UUID]  # it and those beside it, oldest first
    role: Author
    character_id: UUID | None
    content: str
    position: int
    metadata: dict[str, Any]
    created_at: datetime


class MessagePage(BaseModel):
    """A page of the branch on show, oldest first."""

    messages: list[MessagePublic]
    previous: UUID | None  # as `before`, for the page before this one
    next: int | None  # as `after`, for the page after this one


class Alternates(BaseModel):
    """A message and those that were written instead of it, oldest first."""

    messages: list[MessagePublic]
    chosen: UUID


class Sources(BaseModel):
    """The passages that a reply was written from, the most fitting first."""

    message_id: UUID
    sources: list[Source]


def told(session: Session, rows: list[ChatMessage]) -> list[MessagePublic]:
    """Return messages as their owner sees them."""
    beside = messages.alternate_ids(session, rows)
    return [
        MessagePublic(
            **row.model_dump(warnings=False), metadata=row.details, alternates=beside[row.id]
        )
        for row in rows
    ]


@router.get("/chat-sessions/{session_id}/messages")
def read_messages(
    session_id: UUID,
    session: SessionDep,
    owner: Owner,
    limit: Limit = 50,
    before: Annotated[UUID | None, Query(description="`previous` of a page.")] = None,
    after: Annotated[int | None, Query(ge=0, description="`next` of a page.")] = None,
) -> MessagePage:
    """A conversation's branch on show, oldest first: its end, or what lies before or after."""
    chat = get_session(session, session_id, owner=owner)
    keep_stopped(session, chat)
    if after is not None:
        rows = messages.branch_from(session, chat.leaf_id, after=after, limit=limit)
    else:
        leaf = _above(session, chat, before) if before else chat.leaf_id
        rows = messages.branch(session, leaf, limit=limit)
    first = rows[0] if rows else None
    return MessagePage(
        messages=told(session, rows),
        previous=first.id if first and first.parent_id else None,
        next=rows[-1].position if after is not None and len(rows) == limit else None,
    )


def _above(session: Session, chat: ChatSession, message_id: UUID) -> UUID | None:
    found = get_message(session, message_id, owner=chat.user_id)
    if found.session_id != chat.id:
        raise MessageNotFound()
    return found.parent_id


@router.get("/messages/{message_id}")
def read_message(message_id: UUID, session: SessionDep, owner: Owner) -> MessagePublic:
    """A message, on show or not."""
    return told(session, [get_message(session, message_id, owner=owner)])[0]


@router.get("/messages/{message_id}/alternates")
def read_alternates(message_id: UUID, session: SessionDep, owner: Owner) -> Alternates:
    """A message and those that were written instead of it."""
    found = get_message(session, message_id, owner=owner)
    rows = messages.alternates(session, found)
    chosen = next(row.id for row in rows if row.chosen)
    return Alternates(messages=told(session, rows), chosen=chosen)


@router.post("/messages/{message_id}/choose")
def choose_message(message_id: UUID, session: SessionDep, owner: Owner) -> SessionPublic:
    """Show this message instead of its alternates, and the branch below it as it was last shown.

    While a reply is being written it is refused with 429.
    """
    found = get_message(session, message_id, owner=owner)
    chat = lock_session(session, found.session_id, owner=owner)
    messages.choose(session, chat, found)
    return public(session, chat)[0]


@router.get("/messages/{message_id}/sources")
def read_sources(message_id: UUID, session: SessionDep, owner: Owner) -> Sources:
    """The passages of the book that a reply was written from."""
    found = get_message(session, message_id, owner=owner)
    return Sources(
        message_id=found.id, sources=[Source.model_validate(one) for one in found.sources]
    )
