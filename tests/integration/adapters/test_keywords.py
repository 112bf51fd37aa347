import pytest

from config.local import EmbeddedPostgres
from models.errors import Unavailable
from tasks.adapters.keywords import PgKeywords
from tasks.tools import Passage
from tests.suites.search import PASSAGES, KeywordsSuite


class TestPgKeywords(KeywordsSuite):
    @pytest.fixture
    def keywords(self, database_url: str) -> PgKeywords:
        return PgKeywords()


@pytest.fixture
def keywords(database_url: str) -> PgKeywords:
    store = PgKeywords()
    store.create("c")
    store.upsert("c", PASSAGES)
    return store


def places(keywords: PgKeywords, query: str) -> list[int]:
    return [hit.passage.index for hit in keywords.search("c", query, top_k=9)]


def test_words_are_found_in_every_form(keywords: PgKeywords) -> None:
    assert places(keywords, "dancing officer") == [2]


def test_a_quoted_phrase_is_found_as_it_stands(keywords: PgKeywords) -> None:
    assert places(keywords, '"letter about Wickham"') == [1]
    assert places(keywords, '"Wickham letter"') == []


def test_a_word_with_a_minus_is_left_out(keywords: PgKeywords) -> None:
    assert places(keywords, "letter -Wickham") == [3]
    assert places(keywords, "well-known letter") == [1, 3]


def test_a_word_that_english_leaves_out_is_found_when_it_is_all_there_is(
    keywords: PgKeywords,
) -> None:
    will = Passage(id="w", text="Will spoke to May, and May to Will.", index=4)
    keywords.upsert("c", [will, Passage(id="x", text="Nobody here.", index=5)])
    assert places(keywords, "Will") == [4]
    assert places(keywords, "will (") == [4]


def test_among_equals_the_earlier_passage_comes_first(keywords: PgKeywords) -> None:
    twins = [Passage(id=f"t{place}", text="a zeppelin", index=place) for place in (9, 8)]
    keywords.upsert("c", twins)
    assert places(keywords, "zeppelin") == [8, 9]


def test_an_endless_query_is_cut(keywords: PgKeywords) -> None:
    query = " ".join(f"word{number}" for number in range(5000))
    assert places(keywords, f"Netherfield {query}") == [0]


def test_a_store_that_is_away_is_unavailable(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    with pytest.raises(Unavailable):
        PgKeywords().search("c", "Darcy", top_k=1)
