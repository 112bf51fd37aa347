"""Pipelines that call models, and a look into the ledger."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from config.db import connection, transaction
from models.costs.tables import model_call, owner_spending
from tasks.pipeline import Pipeline, step
from tasks.tools import LLM, Embedder, Message, Tokens
from tests.pipelines import OWNER

ASKED = [Message(role="user", content="Say what is universally acknowledged.")]


class Ask(BaseModel):
    calls: int = 1
    max_tokens: int | None = None


class Thought(BaseModel):
    texts: list[str]


class Placed(BaseModel):
    vectors: int


class Told(BaseModel):
    text: str


@step(max_attempts=2)
def think(ask: Ask, llm: LLM) -> Thought:
    answers = [
        llm.complete(ASKED, purpose="chat", max_tokens=ask.max_tokens) for _ in range(ask.calls)
    ]
    return Thought(texts=[one.text for one in answers])


def place(thought: Thought, embedder: Embedder) -> Placed:
    return Placed(vectors=len(embedder.embed(thought.texts)))


@step(queue="stream", max_attempts=2)
def tell(ask: Ask, llm: LLM, tokens: Tokens) -> Told:
    return Told(text=tokens.write(llm.stream(ASKED, purpose="chat", max_tokens=ask.max_tokens)))


thinking = Pipeline("tests.thinking", think, place, input=Ask, startable=True)
telling = Pipeline("tests.telling", tell, input=Ask, startable=True)


def begin(pipeline: Pipeline, **options: Any) -> UUID:
    given = {name: options.pop(name) for name in ("calls", "max_tokens") if name in options}
    with transaction() as session:
        return pipeline.start(session, Ask(**given), owner=OWNER, **options).id


def calls() -> list[Any]:
    with connection() as conn:
        return list(conn.execute(model_call.select().order_by(model_call.c.id)))


def spent_by_owner() -> set[int]:
    """What the owner's day and month say: one amount, as both began with the test."""
    with connection() as conn:
        return {row.spent_microusd for row in conn.execute(owner_spending.select())}
