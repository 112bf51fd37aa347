"""Talking with characters."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from api.deps import CHAT, Limit, Owner, SessionDep, WaitingOwner
from api.dialects import BOOKS, speaking
from api.jobs import IdempotencyKey
from api.sse import STREAMS, CursorDep, EventStream, follow
from config.db import transaction
from models.books.conversations import (
    Author,
    ChatMessage,
    ChatSession,
    SessionBusy,
    SessionNotFound,
    get_session,
    list_messages,
    lock_session,
    open_session,
)  # fmt: skip
from models.books.library import get_character
from models.jobs import idempotency
from models.jobs.queries import JobNotFound
from pipelines.books.chat import Say, chat

router = APIRouter(tags=["books"], **speaking("books"))


class SessionCreate(BaseModel):
    """Whom to talk to."""

    character_id: UUID
    title: str = Field(default="", max_length=200)


class SessionPublic(BaseModel):
    """A conversation."""

    session_id: UUID
    character_id: UUID
    book_id: UUID
    title: str
    message_count: int
    last_message_at: datetime | None
    last_message_preview: str
    created_at: datetime


class MessagePublic(BaseModel):
    """One message of a conversation."""

    id: UUID
    role: Author
    content: str
    position: int
    metadata: dict[str, Any]
    created_at: datetime


class MessagePage(BaseModel):
    """A page of a conversation, oldest first."""

    messages: list[MessagePublic]
    next: int | None


class ChatRequest(BaseModel):
    """One message to a character."""

    user_id: str
    character_id: UUID
    book_id: UUID
    session_id: UUID
    user_message: str = Field(min_length=1, max_length=20_000)


@router.post("/chat-sessions", status_code=201)
def start_session(body: SessionCreate, session: SessionDep, owner: Owner) -> SessionPublic:
    """Begin a conversation with a character."""
    character = get_character(session, body.character_id, owner=owner)
    return _session_public(open_session(session, character, user=owner, title=body.title))


def _session_public(row: ChatSession) -> SessionPublic:
    return SessionPublic(**row.model_dump(exclude={"id"}), session_id=row.id)


@router.get("/chat-sessions/{session_id}")
def read_session(session_id: UUID, session: SessionDep, owner: Owner) -> SessionPublic:
    """A conversation."""
    return _session_public(get_session(session, session_id, owner=owner))


@router.get("/chat-sessions/{session_id}/messages")
def read_messages(
    session_id: UUID,
    session: SessionDep,
    owner: Owner,
    limit: Limit = 50,
    after: Annotated[int, Query(ge=0)] = 0,
) -> MessagePage:
    """A conversation's messages, oldest first."""
    get_session(session, session_id, owner=owner)
    rows = list_messages(session, session_id, after=after, limit=limit)
    more = rows[-1].position if len(rows) == limit else None
    return MessagePage(messages=[_message(row) for row in rows], next=more)


def _message(row: ChatMessage) -> MessagePublic:
    return MessagePublic(**row.model_dump(warnings=False), metadata=row.details)


@router.get("/chat-sessions/{session_id}/stream", **STREAMS)
async def stream_reply(session_id: UUID, owner: WaitingOwner, cursor: CursorDep) -> Response:
    """The reply that is being written, or the last one, from the cursor on."""
    job_id = await run_in_threadpool(_reply_of, session_id, owner)
    return await follow(job_id, cursor, BOOKS, owner=owner)


def _reply_of(session_id: UUID, owner: UUID) -> UUID:
    with transaction() as session:
        found = get_session(session, session_id, owner=owner)
        if found.job_id is None:
            raise JobNotFound("Nothing has been said in this session.")
        return found.job_id


@router.post("/character/chat", dependencies=[CHAT], **STREAMS)
async def talk(
    body: ChatRequest,
    owner: WaitingOwner,
    cursor: CursorDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Say something to a character and stream the reply.

    Frames: `{"token"}` …, then `{"done": true, "full_response"}`; `{"error", "code"}` when another
    reply is being written (429, with its job) or the model fails (502). The job of the reply is in
    `X-Job-ID`; `GET /chat-sessions/{id}/stream` with `Last-Event-ID` goes on where you were.
    """
    try:
        job_id = await run_in_threadpool(_say, body, owner, idempotency_key)
    except SessionBusy as busy:
        return EventStream(_frames(BOOKS.busy(str(busy), busy.details)), owner)
    return await follow(job_id, cursor, BOOKS, owner=owner, **{"X-Job-ID": str(job_id)})


async def _frames(frames: list[bytes]) -> Any:
    for frame in frames:
        yield frame


def _say(body: ChatRequest, owner: UUID, key: str | None) -> UUID:
    said = [str(body.session_id), body.user_message]
    scope: dict[str, Any] = {
        "owner": owner,
        "route": "POST /character/chat",
        "digest": idempotency.request_hash(said),
    }
    with transaction() as session:
        if key and (old := idempotency.replay(session, key=key, **scope)):
            return old.id
        found = lock_session(session, body.session_id, owner=owner)
        if (found.character_id, found.book_id) != (body.character_id, body.book_id):
            raise SessionNotFound()
        say = Say(session_id=found.id, message=body.user_message)
        job = chat.start(session, say, owner=owner)
        found.job_id = job.id
        session.add(found)
        if key:
            idempotency.remember(session, key=key, job_id=job.id, **scope)
        return job.id
