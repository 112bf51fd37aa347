"""The steps of a conversation, with fakes."""

import json
from uuid import UUID

from models.errors import Unavailable
from pipelines.books.chat import (
    Context,
    Queries,
    reply_messages,
    retrieve,
    write_queries,
)  # fmt: skip
from tasks.tools import Hit, Message, Passage
from tests.fakes import FakeCache, FakeEmbedder, FakeKeywords, FakeLLM, FakeReranker, FakeVectors

CONTEXT = Context(
    message="Do you like him?",
    book_title="Pride and Prejudice",
    character_id=UUID(int=1),
    name="Elizabeth",
    aliases=["Lizzy"],
    system_prompt="You are Elizabeth.",
    quotes=[],
    history=[Message(role="user", content="Tell me of Darcy.")],
    summary="",
    collection="book_v1",
    embedding_model="fake/letters",
)
REWRITTEN = json.dumps({"narrative": "Elizabeth spoke of Darcy.", "keywords": "Darcy like"})
PASSAGES = [Passage(id=f"p{k}", text=f"text {k}", index=k) for k in range(4)]


def test_a_message_is_rewritten_with_what_was_said_before() -> None:
    llm = FakeLLM(REWRITTEN)
    assert write_queries(CONTEXT, llm, FakeCache()).keywords == "Darcy like"
    assert "Tell me of Darcy." in llm.asked[0][1][-1].content


def test_the_same_message_is_rewritten_once() -> None:
    llm, cache = FakeLLM(REWRITTEN), FakeCache()
    first, second = (write_queries(CONTEXT, llm, cache) for _ in range(2))
    assert first == second
    assert len(llm.asked) == 1


def test_another_character_or_history_is_another_question() -> None:
    llm, cache = FakeLLM(REWRITTEN), FakeCache()
    for context in (
        CONTEXT,
        CONTEXT.model_copy(update={"character_id": UUID(int=2)}),
        CONTEXT.model_copy(update={"history": []}),
    ):
        write_queries(context, llm, cache)
    assert len(llm.asked) == 3


def test_the_message_itself_serves_when_the_model_fails_and_is_not_remembered() -> None:
    cache = FakeCache()
    for answer in (Unavailable("No."), "no JSON"):
        assert write_queries(CONTEXT, FakeLLM(answer), cache).narrative == CONTEXT.message
    assert not cache.kept


def test_a_chat_goes_on_when_every_search_fails() -> None:
    class NoVectors(FakeVectors):
        def search(self, *_: object, **__: object) -> list[Hit]:
            raise Unavailable("The index is away.")

    class NoKeywords(FakeKeywords):
        def search(self, *_: object, **__: object) -> list[Hit]:
            raise Unavailable("The index is away.")

    queries = Queries(narrative="n", keywords="k")
    found = retrieve(CONTEXT, queries, FakeEmbedder(), NoVectors(), NoKeywords(), FakeReranker())
    assert found.passages == []


def test_a_prompt_has_the_persona_the_passages_and_the_talk() -> None:
    told = reply_messages(CONTEXT.model_copy(update={"summary": "They met."}), PASSAGES[:1])
    assert [one.role for one in told] == ["system", "user", "user"]
    for part in ("You are Elizabeth.", "They met.", "[1] text 0"):
        assert part in told[0].content
