"""Voice: sessions with a speech server, what was said in them, what was asked for."""

import logging
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.concurrency import run_in_threadpool

from api import limits
from api.answers import settled
from api.deps import Claims, ClaimsDep, SessionDep, identify_known
from api.dialects import speaking
from api.goals.asker import session_holder
from config.crypto import Mailbox
from config.db import transaction
from models.errors import Unavailable
from models.goals.tables import Speaker, Talk
from models.goals.voice import (
    VoiceSessionNotFound,
    check_speech,
    close_session,
    get_voice_session,
    keep_message,
    reserve_session,
    transcript,
)
from models.goals.voice_script import VoiceConfig, voice_config
from models.jobs import lifecycle
from models.jobs.queries import JobPublic, describe
from pipelines.goals.open_voice_session import (
    OPENING_S,
    Granted,
    OpenVoiceSession,
    open_voice_session,
)
from pipelines.goals.voice_intents import Declined, carry_out, decline

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/api/v1/voice", tags=["goals"], **speaking("goals"))
APOLOGY = "Sorry, something went wrong on my side. Please say that again in a moment."


class SpeechAway(Unavailable):
    """The speech server gives no tokens at the moment."""

    code = "speech_unavailable"


class SessionRequest(BaseModel):
    """Who wants to talk; a bearer token outweighs it."""

    user_id: str | None = Field(default=None, max_length=255)


class VoiceSession(BaseModel):
    """A session: what the device connects with, flat and (without the token) in `config`."""

    session_id: str
    deepgram_token: str
    system_prompt: str
    config: VoiceConfig


class NewMessage(BaseModel):
    """What somebody said."""

    session_id: str
    role: Speaker
    content: str = Field(max_length=100_000)


class MessageSaved(BaseModel):
    """Whether it was written down, and under which id."""

    message_id: UUID | None
    status: Literal["saved", "failed"]


class SpokenMessage(BaseModel):
    """One message of a session."""

    id: UUID
    role: Speaker
    content: str
    created_at: datetime


class Transcript(BaseModel):
    """What was said in a session, in order."""

    session_id: str
    messages: list[SpokenMessage]


class Closed(BaseModel):
    """A session that is over."""

    session_id: str
    status: Literal["closed"] = "closed"
    message_count: int


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class IntentRequest(BaseModel):
    """A call of one of the session's functions."""

    session_id: str
    function_call_id: Name
    function_name: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
    input: dict[str, Any] = {}


class IntentResult(BaseModel):
    """What the voice is to say."""

    function_call_id: str
    result: str


@router.post("/session")
async def open_session(body: SessionRequest, claims: ClaimsDep) -> VoiceSession:
    """Begin to talk: a token for the speech server, and what to tell it.

    404 for an unknown user, 429 past the daily limit, 503 where no speech server is configured
    (DEEPGRAM_API_KEY) or it is away.
    """
    mailbox = Mailbox()
    job, owner, begun = await run_in_threadpool(_begin, claims, mailbox.address)
    job = await settled(job, owner=owner, timeout_s=OPENING_S)
    token = mailbox.open(await run_in_threadpool(_granted, job))
    return VoiceSession(deepgram_token=token, **begun)


def _begin(claims: Claims, mailbox: str) -> tuple[JobPublic, UUID, dict[str, Any]]:
    with transaction() as session:
        owner = identify_known(session, claims).id
        limits.count("person", str(owner))
        talk = reserve_session(session, owner=owner)
        check_speech()
        job = open_voice_session.start(session, OpenVoiceSession(mailbox=mailbox), owner=owner)
        talk.job_id = job.id
        config = voice_config(session, talk)
        told = {"session_id": talk.public_id, "system_prompt": config.system_prompt}
        return describe(session, job), owner, told | {"config": config}


def _granted(job: JobPublic) -> str:
    """Return the token, sealed. Raises SpeechAway; then the session does not count."""
    if job.finished_at is None:
        with transaction() as session:
            lifecycle.request_cancel(session.connection(), job.id)
    if job.status != "succeeded":
        raise SpeechAway((job.error or {}).get("message"), retry_after_s=OPENING_S)
    with transaction() as session:
        found = open_voice_session.load(session.connection(), job.id, [Granted])
        return Granted.model_validate(found[Granted]).sealed


@router.post("/messages")
def save_message(body: NewMessage, claims: ClaimsDep) -> MessageSaved:
    """Write down what was said. Nobody waits for it: what goes wrong is told as `failed`, with 200.

    Only an invalid token is 401.
    """
    try:
        with transaction() as session:
            talk = _talk_of(session, body, claims)
            kept = keep_message(session, talk, role=body.role, content=body.content)
            return MessageSaved(message_id=kept.id, status="saved")
    except (VoiceSessionNotFound, SQLAlchemyError) as error:
        logger.warning("A message of a voice session was not saved: %s", type(error).__name__)
        return MessageSaved(message_id=None, status="failed")


@router.get("/sessions/{session_id}/messages")
def read_messages(session_id: str, session: SessionDep, claims: ClaimsDep) -> Transcript:
    """What was said in a session."""
    talk = get_voice_session(session, session_id, owner=session_holder(session, claims))
    rows = [SpokenMessage(**one.model_dump(warnings=False)) for one in transcript(session, talk)]
    return Transcript(session_id=session_id, messages=rows)


@router.delete("/session/{session_id}")
def close(session_id: str, session: SessionDep, claims: ClaimsDep) -> Closed:
    """End a session; its transcript stays. Safe to repeat."""
    owner = session_holder(session, claims)
    talk = get_voice_session(session, session_id, owner=owner, lock=True)
    return Closed(session_id=session_id, message_count=close_session(session, talk))


@router.post("/intents")
def process_intent(body: IntentRequest, claims: ClaimsDep) -> IntentResult:
    """Carry out what was asked for, once for each `function_call_id`, and return what to say.

    What goes wrong is said too, with 200. Only an invalid token is 401.
    """
    return IntentResult(function_call_id=body.function_call_id, result=_answered(body, claims))


def _answered(body: IntentRequest, claims: Claims) -> str:
    given: dict[str, Any] = {
        "call": body.function_call_id,
        "name": body.function_name,
        "given": body.input,
    }
    try:
        try:
            with transaction() as session:
                talk = _talk_of(session, body, claims)
                limits.count("chat", str(talk.owner_id))
                return carry_out(session, talk, **given)
        except Declined as declined:
            words = str(declined)
        with transaction() as session:
            return decline(session, _talk_of(session, body, claims), words=words, **given)
    except VoiceSessionNotFound:
        return "Sorry, I lost track of our conversation. Please start a new one."
    except limits.TooManyRequests:
        return "You are faster than I can follow. Please say that again in a minute."
    except SQLAlchemyError as error:
        logger.warning("An intent of a voice session failed: %s", type(error).__name__)
        return APOLOGY


def _talk_of(session: Session, body: IntentRequest | NewMessage, claims: Claims) -> Talk:
    return get_voice_session(session, body.session_id, owner=session_holder(session, claims))
