"""Let a character answer, token by token: a message, or an earlier one in other words."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from config.settings import settings
from models.books.horizon import (
    ChapterEnd,
    Known,
    horizon,
    known_within,
    last_passage,
    passage_is_within,
    standing,
)  # fmt: skip
from models.books.library import Book, Character
from models.books.memory import recalled
from models.books.messages import Source
from models.books.preferences import Preferences, get_preferences, merged, wishes
from models.books.replies import PIPELINE, Say, keep_turn
from models.books.sessions import ChatSession, get_session, members
from models.errors import DomainError, Unavailable
from pipelines.books.reply_prompt import (
    Context,
    own_quotes,
    own_words,
    reply_messages,
    rewrite_messages,
    spoken,
)  # fmt: skip
from pipelines.books.retrieval import HybridSearch
from tasks.pipeline import Pipeline, step
from tasks.tools import (
    LLM,
    Cache,
    Embedder,
    JobRef,
    Keywords,
    Passage,
    Reranker,
    Tokens,
    Vectors,
)  # fmt: skip

CHAT_DEADLINE_S = 900.0  # far longer than any reply; frees the session if all else fails
REWRITE_MAX_TOKENS = 200  # books.md
REWRITE_CACHED_S = 3600  # books.md
REPLY_TEMPERATURE = 0.8
EXCERPT_CHARS = 240  # of a source: enough to know the place again


class Queries(BaseModel):
    """The message as a narrative passage might answer it, and as keywords."""

    narrative: str
    keywords: str


class Found(BaseModel):
    """The passages that bear on the message, nearest first."""

    passages: list[Passage]
    sources: list[Source] = []  # the same, as they are shown to the reader


class Reply(BaseModel):
    """What the character said."""

    text: str
    model: str
    offline: bool


class Saved(BaseModel):
    """The messages as they are kept; none of the user's where only a reply was asked for."""

    user_message_id: UUID | None
    character_message_id: UUID | None


class ModelFailed(DomainError):
    """The model failed while the reply was being written."""

    code = "model_failed"
    status = 502


@step(queue="stream")
def load_context(say: Say, job: JobRef, session: Session) -> Context:
    """Gather the character, the conversation so far and the live index. Raises SessionNotFound."""
    chat = get_session(session, say.session_id, owner=job.owner_id)
    character = session.get_one(Character, say.character_id)
    book = session.get_one(Book, chat.book_id)
    chapters = [ChapterEnd.model_validate(one) for one in book.chapters]
    up_to = horizon(say.up_to_chapter, book.total_chapters)
    known = _known(character, up_to)
    names = {one.id: one.name for one in members(session, chat)}
    summary, before = recalled(session, say.parent_id, at_least=settings.books.history_messages)
    asked, history = spoken(say.message, before, speaker=character.id, names=names)
    return Context(
        message=asked.message,
        asked_by=asked.by,
        book_title=book.title,
        character_id=character.id,
        name=character.name,
        aliases=known.aliases,
        system_prompt=known.persona,
        quotes=known.quotes,
        history=history,
        summary=summary,
        others=[name for id_, name in names.items() if id_ != character.id],
        wishes=_wishes(session, chat),
        standing=standing(up_to, chapters),
        up_to=up_to,
        chapters=chapters,
        collection=book.collection() if book.index_version else None,
        embedding_model=book.embedding_model,
    )


def _known(character: Character, up_to: int | None) -> Known:
    return known_within(
        name=character.name,
        persona=character.system_prompt or "",
        aliases=character.aliases,
        profile=character.profile,
        up_to=up_to,
    )


def _wishes(session: Session, chat: ChatSession) -> str:
    own = Preferences.model_validate(chat.preferences)
    return wishes(merged(get_preferences(session, owner=chat.user_id), own))


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


@step(queue="stream")
def retrieve(
    context: Context,
    queries: Queries,
    embedder: Embedder,
    vectors: Vectors,
    keywords: Keywords,
    reranker: Reranker,
) -> Found:
    """Search by meaning and by keywords; if that fails, the chat goes on without.

    Nothing beyond the reader's horizon is searched.
    """
    if context.collection is None:
        return Found(passages=[])
    hits = HybridSearch(embedder, vectors, keywords, reranker).find(
        queries.narrative,
        queries.keywords,
        collection=context.collection,
        model=context.embedding_model,
        top_k=settings.books.top_k,
        up_to_index=last_passage(context.chapters, context.up_to),
    )
    passages = [hit.passage for hit in hits if passage_is_within(hit.passage.meta, context.up_to)]
    return Found(passages=passages, sources=[source_of(context, one) for one in passages])


def source_of(context: Context, passage: Passage) -> Source:
    """Return a passage as a reader is shown where a reply comes from."""
    chapter, start = passage.meta.get("chapter"), passage.meta.get("start")
    known = isinstance(chapter, int) and 0 <= chapter < len(context.chapters)
    return Source(
        id=passage.id,
        index=passage.index,
        chapter=chapter + 1 if isinstance(chapter, int) else None,
        chapter_title=context.chapters[int(chapter or 0)].title if known else "",
        start=start if isinstance(start, int) else None,
        end=start + len(passage.text) if isinstance(start, int) else None,
        excerpt=" ".join(passage.text.split())[:EXCERPT_CHARS],
        quotes=own_quotes(context, passage),
    )


@step(queue="stream", max_attempts=3)
def write_reply(context: Context, found: Found, llm: LLM, tokens: Tokens) -> Reply:
    """Stream the reply. Raises ModelFailed; a reply that broke off is not asked for again."""
    try:
        text = tokens.write(
            llm.stream(
                reply_messages(context, found.passages),
                purpose="chat",
                temperature=REPLY_TEMPERATURE,
                extra=own_words(context, found.passages),
            )
        )
    except Unavailable as error:
        raise ModelFailed(str(error)) from error
    model = llm.name("chat")
    return Reply(text=text, model=model, offline=model.startswith("offline/"))


@step(queue="stream")
def save_messages(say: Say, found: Found, reply: Reply, job: JobRef, session: Session) -> Saved:
    """Keep the message and its reply, or neither."""
    asked, said = keep_turn(
        session,
        job.id,
        say,
        content=reply.text,
        sources=found.sources,
        details={
            "model": reply.model,
            "offline": reply.offline,
            "passages": [passage.id for passage in found.passages],
        },
    )
    return Saved(user_message_id=asked, character_message_id=said)


chat = Pipeline(
    PIPELINE,
    load_context,
    write_queries,
    retrieve,
    write_reply,
    save_messages,
    input=Say,
    fused=True,
    deadline_s=CHAT_DEADLINE_S,
)
