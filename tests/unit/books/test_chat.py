"""The steps of a conversation, with fakes."""

import json
from uuid import UUID

from models.books.horizon import ChapterEnd
from models.books.messages import Author, ChatMessage
from models.errors import Unavailable
from pipelines.books.chat import Queries, retrieve, write_queries
from pipelines.books.reply_prompt import Context, reply_messages, spoken
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
PASSAGES = [
    Passage(id=f"p{k}", text=f"text {k}", index=k, meta={"chapter": k // 2, "start": 10 * k})
    for k in range(4)
]
CHAPTERS = [ChapterEnd(title="One", last_passage=1), ChapterEnd(title="Two", last_passage=3)]
ANN, BOB = UUID(int=7), UUID(int=8)


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


def found(context: Context) -> list[str]:
    vectors, keywords, embedder = FakeVectors(), FakeKeywords(), FakeEmbedder()
    vectors.upsert("book_v1", PASSAGES, embedder.embed([one.text for one in PASSAGES]))
    keywords.upsert("book_v1", PASSAGES)
    queries = Queries(narrative="text", keywords="text")
    told = retrieve(context, queries, embedder, vectors, keywords, FakeReranker())
    assert [one.id for one in told.sources] == [one.id for one in told.passages]
    return sorted(one.id for one in told.passages)


def test_no_passage_of_a_later_chapter_is_found() -> None:
    horizon = {"up_to": 1, "chapters": CHAPTERS}

    assert found(CONTEXT) == ["p0", "p1", "p2", "p3"]
    assert found(CONTEXT.model_copy(update=horizon)) == ["p0", "p1"]


def test_a_book_whose_chapters_are_not_known_has_a_horizon_all_the_same() -> None:
    assert found(CONTEXT.model_copy(update={"up_to": 1})) == ["p0", "p1"]


def said(role: Author, content: str, who: UUID | None = None) -> ChatMessage:
    return ChatMessage(
        id=UUID(int=1), session_id=UUID(int=2), position=1, role=role, content=content,
        character_id=who,
    )  # fmt: skip


def test_a_character_reads_its_own_words_as_its_own_and_others_by_name() -> None:
    before = [
        said(Author.USER, "Hello!"),
        said(Author.CHARACTER, "Hm.", ANN),
        said(Author.CHARACTER, "Good day.", BOB),
    ]
    names = {ANN: "Ann", BOB: "Bob"}

    asked, history = spoken("Well?", before, speaker=ANN, names=names)

    assert (asked.message, asked.by) == ("Well?", "Reader")
    assert [(one.role, one.content) for one in history] == [
        ("user", "Reader: Hello!"),
        ("assistant", "Hm."),
        ("user", "Bob: Good day."),
    ]
    asked, history = spoken(None, before, speaker=ANN, names=names)
    assert (asked.message, asked.by, len(history)) == ("Good day.", "Bob", 2)


def test_a_talk_of_two_has_no_names_before_its_lines() -> None:
    before = [said(Author.USER, "Hello!"), said(Author.CHARACTER, "Hm.", ANN)]

    asked, history = spoken(None, before, speaker=ANN, names={ANN: "Ann"})

    assert asked.message == "Go on.", "a character does not answer itself"
    assert [one.content for one in history] == ["Hello!", "Hm."]


def test_rules_come_before_wishes_and_the_horizon_is_told() -> None:
    told = reply_messages(
        CONTEXT.model_copy(update={"standing": "Read up to 1.", "wishes": "Be brief."}), []
    )[0].content
    places = [told.index(part) for part in ("You are Elizabeth.", "Read up to 1.", "Be brief.")]
    assert places == sorted(places)
