"""Conversations with characters, and how one wishes to be spoken with."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlmodel import Session

from api.deps import Limit, Owner, SessionDep
from api.dialects import speaking
from models.books import preferences, sessions
from models.books.library import get_character
from models.books.preferences import Preferences
from models.books.sessions import ChatSession, Place, SessionChange, get_session
from models.jobs import lifecycle
from pipelines import tell_after_commit

router = APIRouter(tags=["books"], **speaking("books"))

Horizon = Annotated[
    int | None,
    Field(ge=1, le=100_000, description="Chapters read, from 1; nothing later is told."),
]


class SessionCreate(BaseModel):
    """Whom to talk to; `others` of the same book make it a group."""

    character_id: UUID
    others: list[UUID] = Field(default=[], max_length=sessions.MAX_CAST - 1)
    title: str = Field(default="", max_length=200, pattern=r"^[^\x00]*$")
    up_to_chapter: Horizon = None


class SessionPublic(BaseModel):
    """A conversation. Count, preview and summary are of the branch on show."""

    session_id: UUID
    character_id: UUID
    character_ids: list[UUID]
    book_id: UUID
    title: str
    up_to_chapter: int | None
    leaf_id: UUID | None
    message_count: int
    last_message_at: datetime | None
    last_message_preview: str
    summary: str
    summarised_up_to: int
    is_archived: bool
    active_at: datetime
    created_at: datetime


class SessionPage(BaseModel):
    """A page of conversations, newest activity first."""

    sessions: list[SessionPublic]
    next: str | None


class SessionPreferences(BaseModel):
    """How one wishes to be spoken with in one conversation."""

    own: Preferences  # said for this conversation
    merged: Preferences  # what holds in it


def public(session: Session, *rows: ChatSession) -> list[SessionPublic]:
    """Return conversations as their owner sees them."""
    cast = sessions.member_ids(session, rows)
    return [
        SessionPublic(
            **row.model_dump(exclude={"id"}), session_id=row.id, character_ids=cast[row.id]
        )
        for row in rows
    ]


@router.post("/chat-sessions", status_code=201)
def start_session(body: SessionCreate, session: SessionDep, owner: Owner) -> SessionPublic:
    """Begin a conversation with a character, or with several of one book.

    With `up_to_chapter` a character who first appears later is refused with 422.
    """
    cast = [get_character(session, one, owner=owner) for one in (body.character_id, *body.others)]
    opened = sessions.open_session(
        session, *cast, user=owner, title=body.title, up_to_chapter=body.up_to_chapter
    )
    return public(session, opened)[0]


@router.get("/chat-sessions")
def read_sessions(
    session: SessionDep,
    owner: Owner,
    limit: Limit = 20,
    archived: Annotated[bool, Query(description="The archived ones instead.")] = False,
    book_id: UUID | None = None,
    before: Annotated[str | None, Query(description="`next` of the page before.")] = None,
) -> SessionPage:
    """Your conversations, newest activity first."""
    rows = sessions.list_sessions(
        session,
        owner=owner,
        archived=archived,
        book_id=book_id,
        before=Place.parse(before) if before else None,
        limit=limit,
    )
    more = str(Place(rows[-1].active_at, rows[-1].id)) if len(rows) == limit else None
    return SessionPage(sessions=public(session, *rows), next=more)


@router.get("/chat-sessions/{session_id}")
def read_session(session_id: UUID, session: SessionDep, owner: Owner) -> SessionPublic:
    """A conversation."""
    return public(session, get_session(session, session_id, owner=owner))[0]


@router.patch("/chat-sessions/{session_id}")
def change_session(
    session_id: UUID, body: SessionChange, session: SessionDep, owner: Owner
) -> SessionPublic:
    """Rename a conversation, put it into the archive or back, move its horizon (null: none)."""
    found = get_session(session, session_id, owner=owner)
    return public(session, sessions.change_session(found, body))[0]


@router.delete("/chat-sessions/{session_id}", status_code=204)
def delete_session(session_id: UUID, session: SessionDep, owner: Owner) -> None:
    """Delete a conversation with all its messages; a reply that is being written stops."""
    found = get_session(session, session_id, owner=owner)
    for job_id in filter(None, (found.job_id, found.memory_job_id)):
        lifecycle.request_cancel(session.connection(), job_id)
        tell_after_commit(session, job_id, [])
    session.delete(found)


@router.get("/chat-preferences")
def read_preferences(session: SessionDep, owner: Owner) -> Preferences:
    """How you wish to be spoken with, in all conversations."""
    return preferences.get_preferences(session, owner=owner)


@router.put("/chat-preferences")
def write_preferences(body: Preferences, session: SessionDep, owner: Owner) -> Preferences:
    """Say how you wish to be spoken with, in all conversations."""
    return preferences.set_preferences(session, body, owner=owner)


@router.get("/chat-sessions/{session_id}/preferences")
def read_session_preferences(
    session_id: UUID, session: SessionDep, owner: Owner
) -> SessionPreferences:
    """How you wish to be spoken with in this conversation."""
    return _preferences(session, get_session(session, session_id, owner=owner))


@router.put("/chat-sessions/{session_id}/preferences")
def write_session_preferences(
    session_id: UUID, body: Preferences, session: SessionDep, owner: Owner
) -> SessionPreferences:
    """Say how you wish to be spoken with in this conversation; what is empty stays general."""
    found = get_session(session, session_id, owner=owner)
    found.preferences = body.model_dump()
    session.add(found)
    return _preferences(session, found)


def _preferences(session: Session, chat: ChatSession) -> SessionPreferences:
    own = Preferences.model_validate(chat.preferences)
    general = preferences.get_preferences(session, owner=chat.user_id)
    return SessionPreferences(own=own, merged=preferences.merged(general, own))
