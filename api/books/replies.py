"""Letting characters speak: a message, another reply, other words, and stopping."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from api.books.conversations import Horizon
from api.books.messages import MessagePublic, told
from api.deps import CHAT, WaitingOwner
from api.dialects import BOOKS, speaking
from api.once import Once, OnceDep
from api.sse import STREAMS, CursorDep, EventStream, follow
from api.streams import finished
from config.db import transaction
from models.books.messages import get_message
from models.books.replies import (
    PIPELINE,
    NotInSession,
    Say,
    SessionBusy,
    Wish,
    keep_stopped,
    lock_session,
    next_turn,
    other_reply,
    other_words,
)  # fmt: skip
from models.books.sessions import ChatSession, SessionNotFound, get_session
from models.jobs import lifecycle
from models.jobs.queries import JobNotFound
from models.jobs.tables import TERMINAL, Job
from pipelines import tell_after_commit
from pipelines.books.chat import chat as chat_pipeline
from pipelines.books.remember import remember_if_due

router = APIRouter(tags=["books"], **speaking("books"))

STOP_WAIT_S = 5.0  # a reply stops within a second; a worker that has died is noticed later
Words = Annotated[
    str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")
]  # Postgres takes no NUL
Plan = Callable[[Session], tuple[ChatSession, Say]]


class ChatRequest(BaseModel):
    """One message to a character."""

    user_id: str
    character_id: UUID
    book_id: UUID
    session_id: UUID
    user_message: Words
    up_to_chapter: Horizon = None


class ReplyRequest(BaseModel):
    """How a reply is to be written."""

    character_id: UUID | None = Field(default=None, description="Who is to answer, in a group.")
    up_to_chapter: Horizon = None

    def wish(self) -> Wish:
        """Return what is asked for besides the words."""
        return Wish(character_id=self.character_id, up_to_chapter=self.up_to_chapter)


class MessageRequest(ReplyRequest):
    """A message; without one, somebody else of the group goes on."""

    message: Words | None = None


class EditRequest(ReplyRequest):
    """What is said instead."""

    message: Words


class Stopped(BaseModel):
    """The reply that was stopped, as far as it had come."""

    job_id: UUID | None
    stopping: bool  # it has not confirmed yet; ask again
    message: MessagePublic | None


@router.post("/character/chat", dependencies=[CHAT], **STREAMS)
async def talk(
    body: ChatRequest,
    owner: WaitingOwner,
    cursor: CursorDep,
    once: OnceDep,
) -> Response:
    """Say something to a character and stream the reply.

    Frames: `{"token"}` …, then `{"done": true, "full_response"}`; `{"error", "code"}` when another
    reply is being written (429, with its job) or the model fails (502). The job of the reply is in
    `X-Job-ID`; `GET /chat-sessions/{id}/stream` with `Last-Event-ID` goes on where you were.
    """

    def plan(session: Session) -> tuple[ChatSession, Say]:
        return _as_documented(session, body, owner)

    said = [str(body.session_id), body.user_message]
    return await _reply(plan, owner, cursor, once, said)


def _as_documented(session: Session, body: ChatRequest, owner: UUID) -> tuple[ChatSession, Say]:
    chat = lock_session(session, body.session_id, owner=owner)
    if chat.book_id != body.book_id:
        raise SessionNotFound()
    wish = Wish(character_id=body.character_id, up_to_chapter=body.up_to_chapter)
    try:
        return chat, next_turn(session, chat, body.user_message, wish)
    except NotInSession:
        raise SessionNotFound() from None


@router.post("/chat-sessions/{session_id}/messages", dependencies=[CHAT], **STREAMS)
async def say(
    session_id: UUID,
    body: MessageRequest,
    owner: WaitingOwner,
    cursor: CursorDep,
    once: OnceDep,
) -> Response:
    """Say something and stream the reply, as `POST /character/chat` does.

    In a group whoever is addressed or named answers, else who was silent longest.
    """

    def plan(session: Session) -> tuple[ChatSession, Say]:
        chat = lock_session(session, session_id, owner=owner)
        return chat, next_turn(session, chat, body.message, body.wish())

    said = [str(session_id), body.model_dump(mode="json")]
    return await _reply(plan, owner, cursor, once, said)


@router.post("/messages/{message_id}/regenerate", dependencies=[CHAT], **STREAMS)
async def regenerate(
    message_id: UUID,
    body: ReplyRequest,
    owner: WaitingOwner,
    cursor: CursorDep,
    once: OnceDep,
) -> Response:
    """Have a reply written once more and stream it; the earlier one stays as an alternate."""

    def plan(session: Session) -> tuple[ChatSession, Say]:
        found = get_message(session, message_id, owner=owner)
        chat = lock_session(session, found.session_id, owner=owner)
        return chat, other_reply(session, chat, found, body.wish())

    said = [str(message_id), body.model_dump(mode="json")]
    return await _reply(plan, owner, cursor, once, said)


@router.post("/messages/{message_id}/edit", dependencies=[CHAT], **STREAMS)
async def edit(
    message_id: UUID,
    body: EditRequest,
    owner: WaitingOwner,
    cursor: CursorDep,
    once: OnceDep,
) -> Response:
    """Say something else instead of a message of yours and stream the reply.

    A new branch begins there; the message and all that followed it stay as they are.
    """

    def plan(session: Session) -> tuple[ChatSession, Say]:
        found = get_message(session, message_id, owner=owner)
        chat = lock_session(session, found.session_id, owner=owner)
        return chat, other_words(session, chat, found, body.message, body.wish())

    said = [str(message_id), body.model_dump(mode="json")]
    return await _reply(plan, owner, cursor, once, said)


async def _reply(plan: Plan, owner: UUID, cursor: CursorDep, once: Once, said: Any) -> Response:
    try:
        job_id = await run_in_threadpool(_begin, plan, owner, once, said)
    except SessionBusy as busy:
        return EventStream(_frames(BOOKS.busy(str(busy), busy.details)), owner)
    return await follow(
        job_id, cursor, BOOKS, owner=owner, **{"X-Job-ID": str(job_id)}, **once.headers
    )


async def _frames(frames: list[bytes]) -> Any:
    for frame in frames:
        yield frame


def _begin(plan: Plan, owner: UUID, once: Once, said: Any) -> UUID:
    """Start the job of a turn, once for a key, and note it as the session's lock."""
    with transaction() as session:

        def begin() -> Job:
            chat, turn = plan(session)
            job = chat_pipeline.start(session, turn, owner=owner)
            chat.job_id = job.id
            session.add(chat)
            remember_if_due(session, chat)
            return job

        return once.start(session, begin, owner=owner, said=said).id


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


@router.post("/chat-sessions/{session_id}/stop")
async def stop_reply(session_id: UUID, owner: WaitingOwner) -> Stopped:
    """Stop the reply that is being written; what it has said so far is kept, marked `stopped`."""
    writing = await run_in_threadpool(_cancel, session_id, owner)
    if writing is not None:
        await finished(writing, timeout_s=STOP_WAIT_S)
    return await run_in_threadpool(_stopped, session_id, owner)


def _cancel(session_id: UUID, owner: UUID) -> UUID | None:
    """Ask the session's reply to stop; return its job if it has yet to confirm."""
    with transaction() as session:
        found = get_session(session, session_id, owner=owner)
        job = session.get(Job, found.job_id) if found.job_id else None
        if job is None or job.pipeline != PIPELINE:
            return None
        status = lifecycle.request_cancel(session.connection(), job.id)
        tell_after_commit(session, job.id, [])
        return None if status in TERMINAL else job.id


def _stopped(session_id: UUID, owner: UUID) -> Stopped:
    with transaction() as session:
        found = get_session(session, session_id, owner=owner)
        job = session.get(Job, found.job_id) if found.job_id else None
        kept = keep_stopped(session, found)
        return Stopped(
            job_id=found.job_id,
            stopping=job is not None and job.status not in TERMINAL,
            message=told(session, [kept])[0] if kept else None,
        )
