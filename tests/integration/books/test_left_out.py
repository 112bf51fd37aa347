"""A character and some passages fail while a book is read in: the rest of it is there, they are
listed, and they alone are done again."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from pipelines.books import indexing
from pipelines.books.personas import CharacterAnalysis
from tasks.refusals import IndexRefused, InputRefused, ModelRefused
from tasks.toolbox import TOOLS
from tasks.tools import LLM, Embedder, Keywords, Message, Passage, Purpose, Structured, Vectors
from tests.fakes import FakeEmbedder, FakeKeywords, FakeLLM, FakeVectors
from tests.inline import drain
from tests.integration.books.talk import Given

NOVEL = Path(__file__).parents[2] / "data/novels/DaisyMiller.txt"
TOP = 3
BATCH = 8  # passages
SOMEBODY = CharacterAnalysis(summary="Somebody.", personality_traits=[], speech_style="Plain.")
NAME = re.compile(r"^Name: (.+)$", re.MULTILINE)


class Biographer(FakeLLM):
    """Knows everybody but one, and counts what is asked about whom."""

    def __init__(self) -> None:
        super().__init__()
        self.stranger: str | None = "Winterbourne"
        self.paid: Counter[str] = Counter()

    def _answer(
        self, messages: Sequence[Message], purpose: Purpose, extra: dict[str, object] | None
    ) -> str | BaseModel:
        found = NAME.search(messages[-1].content)
        assert found is not None
        if self.stranger and self.stranger in found[1]:
            raise ModelRefused("Nobody knows.")
        self.paid[found[1]] += 1
        analysis = (extra or {})["task"] == "character_analysis"
        return SOMEBODY if analysis else "You are somebody."


class PickyEmbedder(FakeEmbedder):
    """Will not take some texts, and counts its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: set[str] = set()
        self.requests = 0

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        self.requests += 1
        if self.bad & set(texts):
            raise InputRefused("Too long.")
        return super().embed(texts, model=model)


class ShakyVectors(FakeVectors):
    """Takes no batch with the passage that is told here."""

    lost: int | None = None

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        if self.lost in [one.index for one in passages]:
            raise IndexRefused("The index is full.")
        super().upsert(collection, passages, vectors)


class Tools(BaseModel, arbitrary_types_allowed=True):
    llm: Biographer
    embedder: PickyEmbedder
    vectors: ShakyVectors
    keywords: FakeKeywords


@pytest.fixture
def tools(owner: None, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools(
        llm=Biographer(), embedder=PickyEmbedder(), vectors=ShakyVectors(), keywords=FakeKeywords()
    )
    given: dict[Any, Any] = {
        LLM: made.llm, Structured: made.llm, Embedder: made.embedder, Vectors: made.vectors,
        Keywords: made.keywords,
    }  # fmt: skip
    for tool, instance in given.items():
        monkeypatch.setitem(TOOLS, tool, Given("", instance=instance))
    monkeypatch.setattr(indexing, "BATCH_PASSAGES", BATCH)
    return made


async def read_in(client: httpx.AsyncClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring the beginning of a novel; return the book and its job when nothing is left to do."""
    data = {"title": "Daisy Miller", "top": str(TOP)}
    file = ("a.txt", NOVEL.read_bytes()[:45_000])
    book = (await client.post("/books", data=data, files={"file": file})).json()
    drain()
    return await state(client, book["id"], book["job_id"])


async def resume(
    client: httpx.AsyncClient, book: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    answer = await client.post(f"/jobs/{book['job_id']}/resume")
    assert answer.status_code == 202, answer.text
    drain()
    return await state(client, book["id"], book["job_id"])


async def state(
    client: httpx.AsyncClient, book_id: str, job_id: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    book = (await client.get(f"/books/{book_id}")).json()
    return book, (await client.get(f"/jobs/{job_id}")).json()


async def voices(client: httpx.AsyncClient, book: dict[str, Any]) -> list[str]:
    cast = (await client.get(f"/books/{book['id']}/characters")).json()["characters"]
    return [one["name"] for one in cast if one["has_voice"]]


async def test_a_character_that_failed_is_asked_about_alone(
    client: httpx.AsyncClient, tools: Tools
) -> None:
    book, job = await read_in(client)
    assert (job["status"], book["processing_status"]) == ("succeeded_degraded", "completed")
    (left_out,) = job["degraded"]
    assert (left_out["step"], left_out["error"]["code"]) == ("write_persona", "model_refused")
    assert len(await voices(client, book)) == TOP - 1
    assert tools.llm.paid.total() == 2 * (TOP - 1)
    embedded = len(tools.embedder.embedded)

    tools.llm.stranger = None
    book, job = await resume(client, book)

    assert (job["status"], job["degraded"]) == ("succeeded", [])
    assert left_out["item"] in await voices(client, book)
    assert sorted(tools.llm.paid.values()) == [2] * TOP
    assert tools.llm.paid[left_out["item"]] == 2
    assert len(tools.embedder.embedded) == embedded


async def test_a_passage_that_is_refused_leaves_out_nothing_else_and_is_embedded_alone(
    client: httpx.AsyncClient, tools: Tools
) -> None:
    tools.llm.stranger = None
    await read_in(client)
    everything = list(tools.embedder.embedded)
    assert len(everything) > 2 * BATCH
    tools.embedder.embedded.clear()
    tools.embedder.bad = {everything[BATCH + 3]}

    book, job = await read_in(client)

    assert (job["status"], book["processing_status"]) == ("succeeded_degraded", "completed")
    (left_out,) = job["degraded"]
    assert (left_out["step"], left_out["item"]) == ("index_batch", "1")
    assert left_out["error"]["details"]["passages"] == [BATCH + 3]
    assert Counter(tools.embedder.embedded) == Counter(everything) - Counter(tools.embedder.bad)
    assert book["total_chunks"] == len(everything)

    tools.embedder.embedded.clear()
    paid = tools.llm.paid.total()
    bad, tools.embedder.bad = tools.embedder.bad, set()
    book, job = await resume(client, book)

    assert (job["status"], tools.embedder.embedded) == ("succeeded", list(bad))
    assert job["output"]["findable"] == book["total_chunks"] == len(everything)
    assert tools.vectors.count(f"{book['id']}_v1") == len(everything)
    assert tools.llm.paid.total() == paid


async def test_vectors_that_could_not_be_stored_are_not_paid_for_again(
    client: httpx.AsyncClient, tools: Tools
) -> None:
    tools.llm.stranger = None
    tools.vectors.lost = BATCH

    book, job = await read_in(client)
    assert [(one["step"], one["item"]) for one in job["degraded"]] == [("index_batch", "1")]
    assert tools.vectors.count(f"{book['id']}_v1") == book["total_chunks"] - BATCH
    requests = tools.embedder.requests

    tools.vectors.lost = None
    book, job = await resume(client, book)

    assert job["status"] == "succeeded"
    assert tools.vectors.count(f"{book['id']}_v1") == book["total_chunks"]
    assert tools.embedder.requests == requests
    assert max(Counter(tools.embedder.embedded).values()) == 1


async def test_a_reading_that_was_overtaken_does_not_bring_its_old_version_back(
    client: httpx.AsyncClient, tools: Tools
) -> None:
    book, job = await read_in(client)
    tools.llm.stranger = None
    newer = (await client.post(f"/jobs/{book['job_id']}/retry")).json()
    drain()
    assert (await client.get(f"/jobs/{newer['id']}")).json()["status"] == "succeeded"

    _, job = await resume(client, book)

    assert (job["status"], job["error"]["code"]) == ("failed", "newer_reading")
    assert len(await voices(client, book)) == TOP
