"""Let a character answer one message, token by token."""

from typing import Any
from uuid import UUID, uuid5

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from config.settings import settings
from models.base import now
from models.books.conversations import (
    Author,
    ChatMessage,
    add_messages,
    get_session,
    recent_messages,
)  # fmt: skip
from models.books.library import Book, Character
from models.errors import DomainError, Unavailable
from pipelines.books.retrieval import HybridSearch
from tasks.pipeline import Pipeline, step
from tasks.tools import (
    LLM,
    Cache,
    Embedder,
    JobRef,
    Keywords,
    Message,
    Passage,
    Reranker,
    Tokens,
    Vectors,
)  # fmt: skip

CHAT_DEADLINE_S = 900.0  # far longer than any reply; frees the session if all else fails
REWRITE_MAX_TOKENS = 200  # books.md
REWRITE_CACHED_S = 3600  # books.md
REPLY_TEMPERATURE = 0.8
HISTORY_TURNS_FOR_REWRITE = 4


class Say(BaseModel):
    """One message to a character."""

    session_id: UUID
    message: str


class Context(BaseModel):
    """What the reply is to be written from."""

    message: str
    book_title: str
    character_id: UUID
    name: str
    aliases: list[str]
    system_prompt: str
    quotes: list[str]
    history: list[Message]
    summary: str
    collection: str | None
    embedding_model: str | None


class Queries(BaseModel):
    """The message as a narrative passage might answer it, and as keywords."""

    narrative: str
    keywords: str


class Found(BaseModel):
    """The passages that bear on the message, nearest first."""

    passages: list[Passage]


class Reply(BaseModel):
    """What the character said."""

    text: str
    model: str
    offline: bool
    passages: list[str]


class Saved(BaseModel):
    """The two messages as they are kept."""

    user_message_id: UUID
    character_message_id: UUID


class ModelFailed(DomainError):
    """The model failed while the reply was being written."""

    code = "model_failed"
    status = 502


@step(queue="stream")
def load_context(say: Say, job: JobRef, session: Session) -> Context:
    """Gather the character, the conversation so far and the live index. Raises SessionNotFound."""
    chat = get_session(session, say.session_id, owner=job.owner_id)
    character = session.get_one(Character, chat.character_id)
    book = session.get_one(Book, chat.book_id)
    roles = {Author.USER: "user", Author.ASSISTANT: "assistant", Author.CHARACTER: "assistant"}
    history = [
        Message.model_validate({"role": roles[one.role], "content": one.content})
        for one in recent_messages(session, chat.id, settings.books.history_messages)
    ]
    return Context(
        message=say.message,
        book_title=book.title,
        character_id=character.id,
        name=character.name,
        aliases=character.aliases,
        system_prompt=character.system_prompt or "",
        quotes=(character.profile or {}).get("quotes", []),
        history=history,
        summary=chat.summary,
        collection=book.collection() if book.index_version else None,
        embedding_model=book.embedding_model,
    )


@step(queue="stream")
def write_queries(context: Context, llm: LLM, cache: Cache) -> Queries:
    """Rewrite the message for both searches; if the model fails, the message itself serves.

    The same message after the same turns is rewritten once an hour.
    """
    asked = rewrite_messages(context)
    key = "\n".join(
        ["rewrite", llm.name("rewrite"), str(context.character_id), *(one.content for one in asked)]
    )
    if (known := cache.get(key)) is not None:
        return Queries.model_validate_json(known)
    extra: dict[str, Any] = {
        "task": "query_rewrite", "message": context.message, "name": context.name,
        "aliases": context.aliases,
    }  # fmt: skip
    try:
        answer = llm.complete(asked, purpose="rewrite", max_tokens=REWRITE_MAX_TOKENS, extra=extra)
        queries = Queries.model_validate_json(answer.text)
    except (Unavailable, ValidationError):
        return Queries(narrative=context.message, keywords=context.message)
    cache.put(key, queries.model_dump_json(), ttl_s=REWRITE_CACHED_S)
    return queries


def rewrite_messages(context: Context) -> list[Message]:
    """Return the prompt that turns the last message into two queries."""
    recent = [f"{one.role}: {one.content}" for one in context.history[-HISTORY_TURNS_FOR_REWRITE:]]
    told = (
        f"A reader of {context.book_title!r} talks to {context.name}. Rewrite the last message for "
        'searching the novel. Answer with JSON: {"narrative": a sentence such as the novel might '
        'contain, "keywords": names and words to look for}.'
    )
    said = "\n".join([*recent, f"user: {context.message}"])
    return [Message(role="system", content=told), Message(role="user", content=said)]


@step(queue="stream")
def retrieve(
    context: Context,
    queries: Queries,
    embedder: Embedder,
    vectors: Vectors,
    keywords: Keywords,
    reranker: Reranker,
) -> Found:
    """Search by meaning and by keywords; if that fails, the chat goes on without."""
    if context.collection is None:
        return Found(passages=[])
    hits = HybridSearch(embedder, vectors, keywords, reranker).find(
        queries.narrative,
        queries.keywords,
        collection=context.collection,
        model=context.embedding_model,
        top_k=settings.books.top_k,
    )
    return Found(passages=[hit.passage for hit in hits])


@step(queue="stream", max_attempts=3)
def write_reply(context: Context, found: Found, llm: LLM, tokens: Tokens) -> Reply:
    """Stream the reply. Raises ModelFailed; a reply that broke off is not asked for again."""
    try:
        text = tokens.write(
            llm.stream(
                reply_messages(context, found.passages),
                purpose="chat",
                temperature=REPLY_TEMPERATURE,
                extra=_own_words(context, found.passages),
            )
        )
    except Unavailable as error:
        raise ModelFailed(str(error)) from error
    model = llm.name("chat")
    return Reply(
        text=text,
        model=model,
        offline=model.startswith("offline/"),
        passages=[passage.id for passage in found.passages],
    )


def reply_messages(context: Context, passages: list[Passage]) -> list[Message]:
    """Return the prompt of a reply: the persona, what the book says, the talk so far."""
    system = [context.system_prompt]
    if context.summary:
        system.append(f"What you have talked about before: {context.summary}")
    if passages:
        system.append("Passages of your book that may bear on this:")
        system += [f"[{number}] {one.text}" for number, one in enumerate(passages, start=1)]
    return [
        Message(role="system", content="\n\n".join(system)),
        *context.history,
        Message(role="user", content=context.message),
    ]


def _own_words(context: Context, passages: list[Passage]) -> dict[str, Any]:
    """Return what the offline provider answers from: the character's own words."""
    told = []
    for one in passages:
        flat = " ".join(one.text.split())
        own = [quote for quote in context.quotes if quote in flat]
        told.append({"id": one.id, "text": one.text, "quotes_by_character": own})
    return {
        "task": "character_reply",
        "name": context.name,
        "message": context.message,
        "passages": told,
        "quotes": context.quotes,
    }


@step(queue="stream")
def save_messages(say: Say, reply: Reply, job: JobRef, session: Session) -> Saved:
    """Keep both messages, or neither."""
    asked = ChatMessage(
        id=uuid5(job.id, "user"),
        session_id=say.session_id,
        position=0,
        role=Author.USER,
        content=say.message,
        created_at=now(),
    )
    said = ChatMessage(
        id=uuid5(job.id, "character"),
        session_id=say.session_id,
        position=0,
        role=Author.CHARACTER,
        content=reply.text,
        details={
            "model": reply.model,
            "offline": reply.offline,
            "passages": reply.passages,
            "job_id": str(job.id),
        },
        created_at=now(),
    )
    add_messages(session, say.session_id, asked, said)
    return Saved(user_message_id=asked.id, character_message_id=said.id)


chat = Pipeline(
    "books.chat",
    load_context,
    write_queries,
    retrieve,
    write_reply,
    save_messages,
    input=Say,
    fused=True,
    deadline_s=CHAT_DEADLINE_S,
)
