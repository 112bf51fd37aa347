"""What a model is told before a character speaks."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from models.books.horizon import ChapterEnd
from models.books.messages import Author, ChatMessage
from tasks.tools import Message, Passage

REWRITE_TURNS = 4  # of the talk that a query is written from
READER = "Reader"  # how the person is called where several speak
GO_ON = "Go on."  # what a character is told who is to speak twice in a row


class Context(BaseModel):
    """What the reply is to be written from."""

    message: str  # what is answered
    asked_by: str = READER
    book_title: str
    character_id: UUID
    name: str
    aliases: list[str]
    system_prompt: str
    quotes: list[str]
    history: list[Message]
    summary: str
    others: list[str] = []  # who else of the book takes part
    wishes: str = ""
    standing: str = ""  # where the reader stands in the book
    up_to: int | None = None  # chapters that may be told; empty: all
    chapters: list[ChapterEnd] = []
    collection: str | None
    embedding_model: str | None


class Asked(NamedTuple):
    """What is to be answered, and who has said it."""

    message: str
    by: str


def spoken(
    message: str | None,
    before: Sequence[ChatMessage],
    *,
    speaker: UUID,
    names: dict[UUID, str],
) -> tuple[Asked, list[Message]]:
    """Return what `speaker` answers and what was said before it, as a model reads a conversation.

    Without a `message` the last one before is answered. `names`: of all who take part; where these
    are several, whoever is not the speaker is named before what they say.
    """
    said = list(before)
    asked = Asked(message or GO_ON, READER)
    if message is None and said and said[-1].character_id != speaker:
        last = said.pop()
        asked = Asked(last.content, _author(last, names))
    return asked, [_turn(one, speaker, names) for one in said]


def _turn(one: ChatMessage, speaker: UUID, names: dict[UUID, str]) -> Message:
    own = one.role != Author.USER and one.character_id in (speaker, None)
    if own:
        return Message(role="assistant", content=one.content)
    several = len(names) > 1
    told = f"{_author(one, names)}: {one.content}" if several else one.content
    return Message(role="user", content=told)


def _author(one: ChatMessage, names: dict[UUID, str]) -> str:
    if one.role == Author.USER:
        return READER
    return names.get(one.character_id, "Somebody") if one.character_id else "Somebody"


def rewrite_messages(context: Context) -> list[Message]:
    """Return the prompt that turns the last message into two queries."""
    recent = [f"{one.role}: {one.content}" for one in context.history[-REWRITE_TURNS:]]
    told = (
        f"A reader of {context.book_title!r} talks to {context.name}. Rewrite the last message for "
        'searching the novel. Answer with JSON: {"narrative": a sentence such as the novel might '
        'contain, "keywords": names and words to look for}.'
    )
    said = "\n".join([*recent, f"user: {context.message}"])
    return [Message(role="system", content=told), Message(role="user", content=said)]


def reply_messages(context: Context, passages: list[Passage]) -> list[Message]:
    """Return the prompt of a reply: the persona, what the book says, the talk so far."""
    system = [context.system_prompt, context.standing, _company(context)]
    if context.summary:
        system.append(f"What you have talked about before: {context.summary}")
    system.append(context.wishes)
    if passages:
        system.append("Passages of your book that may bear on this:")
        system += [f"[{number}] {one.text}" for number, one in enumerate(passages, start=1)]
    asked = f"{context.asked_by}: {context.message}" if context.others else context.message
    return [
        Message(role="system", content="\n\n".join(part for part in system if part)),
        *context.history,
        Message(role="user", content=asked),
    ]


def _company(context: Context) -> str:
    if not context.others:
        return ""
    return (
        f"You talk with the reader and with {', '.join(context.others)}, all in one conversation. "
        f"Their lines begin with who speaks. Speak as {context.name} only: never write a line of "
        "somebody else's, and no name before your own."
    )


def own_words(context: Context, passages: list[Passage]) -> dict[str, Any]:
    """Return what the offline provider answers from: the character's own words."""
    told = [
        {"id": one.id, "text": one.text, "quotes_by_character": own_quotes(context, one)}
        for one in passages
    ]
    return {
        "task": "character_reply",
        "name": context.name,
        "message": context.message,
        "passages": told,
        "quotes": context.quotes,
    }


def own_quotes(context: Context, passage: Passage) -> list[str]:
    """Return the character's own words in a passage."""
    flat = " ".join(passage.text.split())
    return [quote for quote in context.quotes if quote in flat]
