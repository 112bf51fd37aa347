"""Qdrant: the engine inside its client, its REST API on loopback, a real server if one is named."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient
from starlette.responses import JSONResponse, PlainTextResponse, Response

from config.settings import QdrantSettings, settings
from models.books.library import collection_name
from models.errors import DomainError, Unavailable
from tasks.adapters import vectors_qdrant
from tasks.adapters.vectors_qdrant import BATCH, QdrantVectors, point_id
from tasks.refusals import IndexRefused
from tasks.tools import Passage
from tests.qdrant_server import QdrantServer, refused
from tests.scripted_model import Served
from tests.suites.search import PASSAGES, VECTORS, VectorsSuite

pytestmark = pytest.mark.filterwarnings(
    "ignore:Payload indexes have no effect in the local Qdrant:UserWarning"
)
TEST_URL = os.environ.get("TEST_QDRANT_URL", "")
KEY = "key-of-the-test"


@pytest.fixture(params=["memory", "disk"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QdrantClient]:
    on_disk = request.param == "disk"
    client = QdrantClient(path=str(tmp_path)) if on_disk else QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture
def server() -> Iterator[QdrantServer]:
    server = QdrantServer()
    yield server
    server.engine.close()


@pytest.fixture
def url(server: QdrantServer) -> Iterator[str]:
    with Served(server) as served:
        yield f"http://127.0.0.1:{served.port}"


def client_of(url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> QdrantClient:
    """Return the client that these settings give."""
    group = QdrantSettings.model_validate({"url": url, "api_key": key, "timeout_s": 2})
    changed = settings.model_copy(update={"qdrant": group})
    monkeypatch.setattr(vectors_qdrant, "settings", changed)
    return vectors_qdrant.connect()


@pytest.fixture
def served(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantVectors]:
    client = client_of(url, "", monkeypatch)
    yield QdrantVectors(client)
    client.close()


class TestQdrantEngine(VectorsSuite):
    @pytest.fixture
    def vectors(self, engine: QdrantClient) -> QdrantVectors:
        return QdrantVectors(engine)


class TestQdrantOverHttp(VectorsSuite):
    @pytest.fixture
    def vectors(self, served: QdrantVectors) -> QdrantVectors:
        return served


@pytest.mark.external
@pytest.mark.skipif(not TEST_URL, reason="TEST_QDRANT_URL names no server")
class TestQdrantServer(VectorsSuite):
    @pytest.fixture
    def vectors(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantVectors]:
        client = client_of(TEST_URL, os.environ.get("TEST_QDRANT_KEY", ""), monkeypatch)
        vectors = QdrantVectors(client)
        yield vectors
        for name in ("c", "d", "d'; --"):
            vectors.drop(name)
        client.close()


def test_a_passage_of_a_book_is_the_point_of_its_number(
    served: QdrantVectors, server: QdrantServer
) -> None:
    book = uuid4()
    collection = collection_name(book, 3)
    served.create(collection, 3)
    passages = [Passage(id=f"{book}:{k}", text=f"text {k}", index=k) for k in range(4)]
    served.upsert(collection, passages, VECTORS)
    points, _ = server.engine.scroll(collection)
    assert [point.id for point in points] == [0, 1, 2, 3]


def test_elsewhere_a_point_is_named_after_its_passage() -> None:
    one, other = (Passage(id=id_, text="", index=7) for id_ in ("a:7", "b:7"))
    assert point_id("base_v1", one) == point_id("base_v2", one) != point_id("base_v1", other)


def test_passages_travel_in_batches(served: QdrantVectors, server: QdrantServer) -> None:
    count = 2 * BATCH + 1
    passages = [Passage(id=f"p{k}", text="text", index=k) for k in range(count)]
    served.create("c", 3)
    served.upsert("c", passages, [[1.0, float(k), 0.0] for k in range(count)])
    sizes = [len(body["points"]) for method, path, body in server.seen if path.endswith("/points")]
    assert sizes == [BATCH, BATCH, 1]
    assert served.count("c") == count


def test_among_equals_the_earlier_passage_comes_first(served: QdrantVectors) -> None:
    served.create("c", 3)
    served.upsert("c", PASSAGES[::-1], [[1.0, 0.0, 0.0]] * 4)
    found = served.search("c", [1.0, 0.0, 0.0], top_k=4)
    assert [hit.passage.index for hit in found] == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning")
def test_the_key_is_shown_to_the_server(
    server: QdrantServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(url, KEY, monkeypatch)
    QdrantVectors(client).count("c")
    client.close()
    assert server.keys == {KEY}


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (refused(429, "Too many requests", Retry_After="7"), 7.0),
        (refused(429, "Too many requests", Retry_After="Wed, 21 Oct 2065 07:28:00 GMT"), None),
        (refused(429, "Too many requests"), None),
        (refused(500, "Service internal error"), None),
        (refused(503, "Not ready", Retry_After="3"), 3.0),
    ],
)
def test_what_may_pass_is_unavailable_with_the_time_to_wait(
    served: QdrantVectors, server: QdrantServer, answer: Response, wait_s: float | None
) -> None:
    server.failing = answer
    with pytest.raises(Unavailable) as caught:
        served.upsert("c", PASSAGES, VECTORS)
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    "answer",
    [
        refused(400, "Wrong input"),
        refused(403, "Forbidden: invalid api-key"),
        refused(413, "Payload too large"),
        PlainTextResponse("<html>a proxy's page</html>"),
        JSONResponse({"result": {"points": "none"}}),
    ],
)
def test_what_will_not_pass_is_refused(
    served: QdrantVectors, server: QdrantServer, answer: Response
) -> None:
    server.failing = answer
    for act in (
        lambda: served.create("c", 3),
        lambda: served.upsert("c", PASSAGES, VECTORS),
        lambda: served.search("c", VECTORS[0], top_k=1),
    ):
        with pytest.raises(IndexRefused):
            act()


def test_a_vector_of_another_length_is_refused(served: QdrantVectors) -> None:
    served.create("c", 3)
    with pytest.raises(IndexRefused):
        served.upsert("c", PASSAGES[:1], [[1.0, 0.0]])


def test_a_server_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of("http://127.0.0.1:9", "", monkeypatch)
    for act in (
        lambda: QdrantVectors(client).search("c", VECTORS[0], top_k=1),
        lambda: QdrantVectors(client).drop("c"),
    ):
        with pytest.raises(DomainError) as caught:
            act()
        assert isinstance(caught.value, Unavailable)
    client.close()
