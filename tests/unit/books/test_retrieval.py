"""Both searches together, with fakes."""

from collections.abc import Sequence

import pytest

from models.errors import DomainError, Unavailable
from pipelines.books.retrieval import HybridSearch, fuse
from tasks.refusals import IndexRefused, ModelRefused
from tasks.tools import Hit
from tests.fakes import FakeEmbedder, FakeKeywords, FakeReranker, FakeVectors
from tests.suites.search import PASSAGES


class Order:
    """A reranker that keeps the order."""

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        return list(hits)[:top_k]


class Failing:
    """Any tool, failing."""

    def __init__(self, error: DomainError) -> None:
        self.error = error

    def embed(self, *_: object, **__: object) -> list[list[float]]:
        raise self.error

    def rerank(self, *_: object, **__: object) -> list[Hit]:
        raise self.error


@pytest.fixture
def search() -> HybridSearch:
    embedder, vectors, keywords = FakeEmbedder(), FakeVectors(), FakeKeywords()
    vectors.create("c", embedder.DIMENSION)
    vectors.upsert("c", PASSAGES, embedder.embed([one.text for one in PASSAGES]))
    keywords.create("c")
    keywords.upsert("c", PASSAGES)
    return HybridSearch(embedder, vectors, keywords, Order())


def found(search: HybridSearch, *, top_k: int = 2, up_to_index: int | None = None) -> list[int]:
    hits = search.find(
        PASSAGES[2].text, "Wickham", collection="c", model=None, top_k=top_k,
        up_to_index=up_to_index,
    )  # fmt: skip
    return [hit.passage.index for hit in hits]


def replaced(search: HybridSearch, **tools: object) -> HybridSearch:
    parts = {name: getattr(search, name) for name in HybridSearch.__slots__}
    return HybridSearch(**(parts | tools))


def test_a_passage_that_both_searches_find_comes_first() -> None:
    near = [Hit(passage=PASSAGES[0], score=0.9), Hit(passage=PASSAGES[1], score=0.8)]
    worded = [Hit(passage=PASSAGES[2], score=7.0), Hit(passage=PASSAGES[1], score=6.0)]
    assert [hit.passage.id for hit in fuse(near, worded)] == ["p1", "p0", "p2"]


def test_a_passage_is_kept_as_the_first_search_has_it_and_counts_once() -> None:
    other = PASSAGES[0].model_copy(update={"text": "another edition"})
    near = [Hit(passage=PASSAGES[0], score=0.9), Hit(passage=PASSAGES[0], score=0.8)]
    (hit,) = fuse(near, [Hit(passage=other, score=7.0)])
    assert hit.passage == PASSAGES[0]
    assert hit.score == pytest.approx(2 / 60)


def test_both_searches_have_their_say(search: HybridSearch) -> None:
    assert sorted(found(search)) == [1, 2]


def test_the_reranker_has_the_last_word(search: HybridSearch) -> None:
    assert found(replaced(search, reranker=FakeReranker()), top_k=1) == [2]


def test_nothing_beyond_the_horizon_is_found(search: HybridSearch) -> None:
    assert set(found(search, top_k=4, up_to_index=1)) == {0, 1}


@pytest.mark.parametrize("error", [Unavailable("Away."), ModelRefused("No."), IndexRefused("No.")])
def test_words_find_what_there_is_when_meaning_fails(
    search: HybridSearch, error: DomainError
) -> None:
    assert found(replaced(search, embedder=Failing(error))) == [1]


@pytest.mark.parametrize("error", [Unavailable("Away."), ModelRefused("No.")])
def test_the_order_of_the_searches_serves_when_the_reranker_fails(
    search: HybridSearch, error: DomainError
) -> None:
    assert found(replaced(search, reranker=Failing(error))) == found(search)
