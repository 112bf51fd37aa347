"""Voice sessions: opened within a daily limit, written down, closed; what was asked for in them."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Text, UniqueConstraint, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, col, select

from config.settings import settings
from models.base import jsonb, new_id, now, timestamp
from models.errors import Busy, NotFound, Unavailable
from models.goals.tables import Speaker, Talk, TalkContext, TalkMessage
from models.jobs.tables import Job, JobStatus

VOICE_LOCK = 0x4C52_0008  # first half of an advisory lock's key, the second being the owner
DAY = timedelta(hours=24)
ID_BYTES = 16  # a session's id cannot be guessed: behind a trusted gateway it is the key to it
NEVER_OPENED = (JobStatus.FAILED, JobStatus.CANCELLED)


class VoiceSessionNotFound(NotFound):
    """There is no such voice session."""

    code = "voice_session_not_found"


class TooManyVoiceSessions(Busy):
    """These are all the voice sessions of a day. Try again later."""

    code = "too_many_voice_sessions"


class SpeechNotConfigured(Unavailable):
    """Voice sessions need a key of Deepgram's: set DEEPGRAM_API_KEY."""

    code = "speech_not_configured"


class VoiceIntent(SQLModel, table=True):
    """What a voice session has asked for, once for each id of a call, and what was answered."""

    __tablename__ = "goal_voice_intent"
    __table_args__ = (
        UniqueConstraint("talk_id", "function_call_id", name="uq_goal_voice_intent_call"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    talk_id: UUID = Field(foreign_key="goal_talk.id", ondelete="CASCADE")
    function_call_id: str
    function_name: str
    input: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    result: str = Field(default="", sa_column=Column(Text, nullable=False))
    created_at: datetime = timestamp(default_now=True)


def check_speech() -> None:
    """Refuse voice sessions where nobody could hear them. Raises SpeechNotConfigured."""
    if not settings.deepgram.api_key.get_secret_value():
        raise SpeechNotConfigured()


def reserve_session(session: Session, *, owner: UUID) -> Talk:
    """Return a new session, of which its caller sets the job that opens it.

    A session counts unless its opening has failed. Raises TooManyVoiceSessions.
    """
    session.execute(select(func.pg_advisory_xact_lock(VOICE_LOCK, func.hashtext(str(owner)))))
    limit = settings.voice.daily_session_limit
    query = (
        select(Talk.created_at)
        .outerjoin(Job, col(Job.id) == col(Talk.job_id))
        .where(Talk.owner_id == owner, Talk.context_type == TalkContext.VOICE)
        .where(col(Talk.created_at) > now() - DAY)
        .where(or_(col(Job.status).is_(None), col(Job.status).not_in(NEVER_OPENED)))
        .order_by(col(Talk.created_at).desc())
        .offset(max(limit - 1, 0))
    )
    first = session.exec(query.limit(1)).first()
    if limit == 0 or first is not None:
        free = (first or now()) + DAY
        raise TooManyVoiceSessions(retry_after_s=(free - now()).total_seconds(), limit=limit)
    name = f"sess_{secrets.token_hex(ID_BYTES)}"
    talk = Talk(owner_id=owner, public_id=name, context_type=TalkContext.VOICE)
    session.add(talk)
    session.flush()
    return talk


def get_voice_session(
    session: Session, session_id: str, *, owner: UUID | None, lock: bool = False
) -> Talk:
    """Return a voice session; with `owner=None` whoever holds its id is believed.

    Raises VoiceSessionNotFound.
    """
    if "\x00" in session_id:
        raise VoiceSessionNotFound()
    query = select(Talk).where(Talk.public_id == session_id, Talk.context_type == TalkContext.VOICE)
    talk = session.exec(query.with_for_update() if lock else query).one_or_none()
    if talk is None or (owner is not None and talk.owner_id != owner):
        raise VoiceSessionNotFound()
    return talk


def keep_message(session: Session, talk: Talk, *, role: Speaker, content: str) -> TalkMessage:
    """Write down what was said, also when it arrives after the session was closed."""
    message = TalkMessage(talk_id=talk.id, role=role, content=content.replace("\x00", ""))
    session.add(message)
    session.flush()
    return message


def transcript(session: Session, talk: Talk) -> list[TalkMessage]:
    """Return what was said in a session, in order."""
    query = select(TalkMessage).where(TalkMessage.talk_id == talk.id).order_by(col(TalkMessage.id))
    return list(session.exec(query))


def close_session(session: Session, talk: Talk) -> int:
    """Close a session, and return how many messages it has. Safe to repeat."""
    if talk.ended_at is None:
        talk.ended_at = now()
        talk.duration_seconds = round((talk.ended_at - talk.created_at).total_seconds())
    query = select(func.count()).where(TalkMessage.talk_id == talk.id)
    return session.exec(query).one()


def take_call(
    session: Session, talk: Talk, *, call: str, name: str, given: dict[str, Any]
) -> tuple[VoiceIntent, bool]:
    """Return the row of a call, and whether it is ours to carry out.

    While another transaction carries the same call out this one waits; if that one fails, it is
    ours after all. Ours has no result until the caller gives it one, in this transaction.
    """
    row = VoiceIntent(talk_id=talk.id, function_call_id=call, function_name=name, input=given)
    values = row.model_dump()
    made = session.execute(
        insert(VoiceIntent).values(values).on_conflict_do_nothing().returning(col(VoiceIntent.id))
    ).scalar_one_or_none()
    query = select(VoiceIntent).where(
        VoiceIntent.talk_id == talk.id, VoiceIntent.function_call_id == call
    )
    return session.exec(query).one(), made is not None
