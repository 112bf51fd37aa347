"""What is remembered of a long conversation: a summary of all but its last messages.

A summary belongs to a message and tells its branch up to there, so it holds whichever branch is on
show; the session carries the one of the branch on show. It is written once and never changed: the
next one stands further down and builds on it.
"""

from uuid import UUID

from sqlmodel import Session

from models.books.messages import ChatMessage, branch, remembered, show
from models.books.sessions import ChatSession, locked
from models.jobs.tables import TERMINAL, Job

BATCH = 6  # messages: a summary costs a call of the model, so it is not written after each reply
LONGEST = 60  # messages that one summary is written from, or a reply, where summaries fail


def due(session: Session, chat: ChatSession, *, keep: int) -> UUID | None:
    """Return the message up to which the branch on show is to be summarised now, if it is.

    The last `keep` messages stay as they are. None too while a summary is being written.
    """
    if chat.message_count - keep - chat.summarised_up_to < BATCH:
        return None
    writing = session.get(Job, chat.memory_job_id) if chat.memory_job_id else None
    if writing is not None and writing.status not in TERMINAL:
        return None
    return branch(session, chat.leaf_id, limit=keep + 1)[0].id


def since_summary(session: Session, message_id: UUID) -> tuple[str, list[ChatMessage]]:
    """Return a branch's last summary, and its messages after that up to `message_id`.

    Nothing is left to summarise when that message carries one itself.
    """
    found = remembered(session, message_id, at_least=1, at_most=LONGEST)
    if found and found[0].summary is not None:
        return found[0].summary, found[1:]
    return "", found


def recalled(
    session: Session, leaf: UUID | None, *, at_least: int
) -> tuple[str, list[ChatMessage]]:
    """Return what a reply below `leaf` is written from: the last summary, and all since.

    At least the last `at_least` messages are there as they were written.
    """
    found = remembered(session, leaf, at_least=at_least, at_most=LONGEST)
    last = max((k for k, one in enumerate(found) if one.summary is not None), default=None)
    if last is None:
        return "", found
    return found[last].summary or "", found[min(last + 1, max(0, len(found) - at_least)) :]


def keep_summary(session: Session, session_id: UUID, message_id: UUID, summary: str) -> bool:
    """Keep the summary of a branch up to a message; False when there is one already.

    Raises SessionNotFound.
    """
    chat = locked(session, session_id)
    one = session.get_one(ChatMessage, message_id)
    if one.summary is not None:
        return False
    one.summary = summary
    session.flush()
    leaf = session.get(ChatMessage, chat.leaf_id) if chat.leaf_id else None
    if leaf is not None:
        show(session, chat, leaf)
    return True
