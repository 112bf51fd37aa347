"""A book of three chapters with a small cast, and a model that says what it was told to."""

import pytest

from config.db import transaction
from models.base import new_id
from models.books.library import Book, Character
from tasks.toolbox import TOOLS
from tasks.tools import LLM, Cache, Embedder, Keywords, Reranker, Vectors
from tests.fakes import FakeCache, FakeEmbedder, FakeKeywords, FakeReranker, FakeVectors
from tests.integration.books.talk import PASSAGES, Actor, Given, World
from tests.pipelines import OWNER

QUOTES = ["I do like the rain in the morning.", "Bob has never been to the sea.", "He will die."]


def character(book: Book, place: int, name: str, first: int, last: int) -> Character:
    profile = {
        "first_chapter": first, "last_chapter": last, "quotes": QUOTES,
        "quote_places": [{"chapter": k} for k in range(3)],
        "relations": [{"name": "Bob", "weight": 1.0, "chapters": [0]}, {"name": "Cass"}],
    }  # fmt: skip
    return Character(
        id=new_id(), book_id=book.id, name=name, aliases=[f"{name}ie"], sort_order=place,
        profile=profile, system_prompt=f"You are {name}, and the murderer.",
    )  # fmt: skip


@pytest.fixture
def actor() -> Actor:
    return Actor()


@pytest.fixture
def world(owner: None, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> World:
    vectors, keywords, embedder = FakeVectors(), FakeKeywords(), FakeEmbedder()
    tools = {LLM: actor, Embedder: embedder, Vectors: vectors, Keywords: keywords}
    for tool, instance in (tools | {Cache: FakeCache(), Reranker: FakeReranker()}).items():
        monkeypatch.setitem(TOOLS, tool, Given("", instance=instance))
    with transaction() as session:
        ends = [{"title": f"Chapter {k + 1}", "last_passage": 2 * k + 1} for k in range(3)]
        book = Book(
            owner_id=OWNER, title="The Sea", slug="sea", index_version=1, total_chapters=3,
            chapters=ends,
        )  # fmt: skip
        session.add(book)
        session.flush()
        cast = [
            character(book, 1, "Ann", 0, 2), character(book, 2, "Bob", 0, 0),
            character(book, 3, "Cass", 2, 2),
        ]  # fmt: skip
        session.add_all(cast)
    vectors.create(book.collection(), embedder.DIMENSION)
    vectors.upsert(book.collection(), PASSAGES, embedder.embed([one.text for one in PASSAGES]))
    keywords.upsert(book.collection(), PASSAGES)
    return World(book=book.id, ids={one.name: str(one.id) for one in cast})
