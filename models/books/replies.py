"""What is to be said next in a conversation, by whom, and what of it is kept.

A reply is a job. The session names the job that writes in it; as long as that one is alive nobody
else may write.
"""

from collections.abc import Sequence
from uuid import UUID, uuid5

from pydantic import BaseModel
from sqlmodel import Session

from models.books.group import Speaker, choose_speaker
from models.books.horizon import check_met, is_met
from models.books.library import Character
from models.books.messages import Author, ChatMessage, Source, attach, branch
from models.books.sessions import ChatSession, get_session, locked, members
from models.errors import Busy, NotFound, Unprocessable
from models.jobs.running import load_outputs
from models.jobs.streams import entries_after, text_of
from models.jobs.tables import TERMINAL, Job, JobStatus

PIPELINE = "books.chat"  # whose jobs write replies
RECENT = 50  # messages: who has not spoken in so many was silent long enough


class Say(BaseModel):
    """A turn: a message and its reply, or a reply alone, below an earlier message."""

    session_id: UUID
    character_id: UUID  # who answers
    message: str | None  # empty: the reply answers the message above
    parent_id: UUID | None = None  # empty: the conversation begins
    up_to_chapter: int | None = None


class Wish(BaseModel):
    """What a request may ask for besides the words: who answers, and how far was read."""

    character_id: UUID | None = None
    up_to_chapter: int | None = None


class SessionBusy(Busy):
    """Another reply is being written in this session."""

    code = "session_busy"


class NotInSession(NotFound):
    """This character does not take part in the conversation."""

    code = "character_not_in_session"


class NothingToAnswer(Unprocessable):
    """There is nothing to answer yet, or nobody else who could."""

    code = "nothing_to_answer"


class NotEditable(Unprocessable):
    """Only what the reader has said can be put in other words."""

    code = "not_editable"


def lock_session(session: Session, session_id: UUID, *, owner: UUID) -> ChatSession:
    """Return the conversation if no reply is being written in it; the caller starts one.

    The lock is the job that writes the reply: it holds for as long as that job is alive, and the
    engine sees to it that every job ends. Raises SessionNotFound, SessionBusy (naming the job).
    """
    get_session(session, session_id, owner=owner)
    found = locked(session, session_id)
    writing = session.get(Job, found.job_id) if found.job_id else None
    if writing is not None and writing.status not in TERMINAL:
        raise SessionBusy(job_id=str(writing.id))
    keep_stopped(session, found)
    return found


def next_turn(session: Session, chat: ChatSession, message: str | None, wish: Wish) -> Say:
    """Return what follows the branch on show: a message with its reply, or one reply more.

    Raises NotInSession, NotMetYet, NothingToAnswer.
    """
    return _turn(session, chat, message, chat.leaf_id, wish)


def other_reply(session: Session, chat: ChatSession, one: ChatMessage, wish: Wish) -> Say:
    """Return the turn that writes an alternate of a reply, or a reply to the reader's message.

    Raises NotInSession, NotMetYet.
    """
    if one.role == Author.USER:
        return _turn(session, chat, None, one.id, wish)
    same = wish.model_copy(update={"character_id": wish.character_id or one.character_id})
    return _turn(session, chat, None, one.parent_id, same)


def other_words(
    session: Session, chat: ChatSession, one: ChatMessage, message: str, wish: Wish
) -> Say:
    """Return the turn that says something else instead of a message of the reader's.

    Raises NotEditable, NotInSession, NotMetYet.
    """
    if one.role != Author.USER:
        raise NotEditable()
    return _turn(session, chat, message, one.parent_id, wish)


def _turn(
    session: Session, chat: ChatSession, message: str | None, parent_id: UUID | None, wish: Wish
) -> Say:
    up_to = wish.up_to_chapter or chat.up_to_chapter
    before = branch(session, parent_id, limit=RECENT)
    if message is None and not before:
        raise NothingToAnswer()
    cast = members(session, chat)
    if wish.character_id is not None:
        speaker = next((one for one in cast if one.id == wish.character_id), None)
        if speaker is None:
            raise NotInSession()
    else:
        speaker = _next_speaker(message, before, cast, up_to)
    check_met(speaker.name, speaker.profile, up_to)
    return Say(
        session_id=chat.id,
        character_id=speaker.id,
        message=message,
        parent_id=parent_id,
        up_to_chapter=up_to,
    )


def _next_speaker(
    message: str | None, before: Sequence[ChatMessage], cast: Sequence[Character], up_to: int | None
) -> Character:
    """Return who answers by the rule of `group`; nobody answers their own words."""
    author = before[-1].character_id if message is None else None
    able = [one for one in cast if is_met(one.profile, up_to) and one.id != author]
    if not able:
        if author is None:
            return cast[0]  # the caller says why not
        raise NothingToAnswer()
    text = before[-1].content if message is None else message
    spoken = [one.character_id for one in before if one.character_id]
    speakers = [Speaker(one.id, (one.name, *one.aliases)) for one in able]
    chosen = choose_speaker(text, speakers, spoken)
    return next(one for one in able if one.id == chosen.id)


def keep_turn(
    session: Session,
    job_id: UUID,
    say: Say,
    *,
    content: str,
    sources: Sequence[Source],
    details: dict[str, object],
) -> tuple[UUID | None, UUID | None]:
    """Keep a turn and show it; return the ids of the reader's message and of the reply.

    A reply without any words is not kept. Safe to repeat, also with more words: ids are derived.
    """
    kept: list[ChatMessage] = []
    asked, said = uuid5(job_id, "user"), uuid5(job_id, "character")
    if say.message is not None:
        kept.append(_message(asked, Author.USER, content=say.message))
    if content:
        reply = _message(said, Author.CHARACTER, content=content)
        reply.character_id = say.character_id
        reply.sources = [one.model_dump() for one in sources]
        reply.details = details | {"job_id": str(job_id)}
        kept.append(reply)
    if kept:
        attach(session, say.session_id, say.parent_id, *kept)
    return asked if say.message is not None else None, said if content else None


def _message(id_: UUID, role: Author, *, content: str) -> ChatMessage:
    # The place is `attach`'s business.
    return ChatMessage(id=id_, session_id=id_, position=0, role=role, content=content)


def keep_stopped(session: Session, chat: ChatSession) -> ChatMessage | None:
    """Keep what a reply that was stopped has said so far; return it, if it has said anything.

    What was streamed is stored before a job has ended, so a cancelled job is all that is needed:
    this may be called at any time after, by whoever next looks at the session. Safe to repeat.
    """
    job = session.get(Job, chat.job_id) if chat.job_id else None
    if job is None or job.status != JobStatus.CANCELLED or job.pipeline != PIPELINE:
        return None
    said = session.get(ChatMessage, uuid5(job.id, "character"))
    if said is not None or session.get(ChatMessage, uuid5(job.id, "user")) is not None:
        return said
    locked(session, chat.id)
    if (found := session.get(ChatMessage, uuid5(job.id, "character"))) is not None:
        return found
    conn = session.connection()
    outputs = load_outputs(conn, job.id, ["retrieve"])
    _, reply = keep_turn(
        session,
        job.id,
        Say.model_validate(job.input),
        content=text_of(entries_after(conn, job.id, 0)),
        sources=[Source.model_validate(one) for row in outputs for one in row.output["sources"]],
        details={"stopped": True},
    )
    return session.get(ChatMessage, reply) if reply else None
