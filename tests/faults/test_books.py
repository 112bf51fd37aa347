"""Workers die while they read a book in: the cast comes out the same, and nothing is paid twice."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
import sqlmodel
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from config.blobs import BlobStore
from config.db import connection, transaction
from models.books.library import Book, list_characters, new_book, start_processing
from models.jobs.tables import JobStatus, step
from pipelines.books.ingest import ingest
from pipelines.books.staging import IngestBook
from tasks.adapters.keywords import PgKeywords
from tasks.adapters.vectors import PgVectors
from tests.pipelines import OWNER
from tests.scripted_model import ScriptedModel, Served
from tests.stack import Stack, ended, live_queues, stack_of, wait_for

pytestmark = pytest.mark.timeout(400)
NOVEL = Path(__file__).parents[1] / "data/novels/DaisyMiller.txt"
NOVEL_CHARS = 45_000  # of its beginning: a short novel
TOP = 3
# The new worker starts and imports LiteLLM: 10 s on two idle cores, 50 s where fourteen processes
# share them. What the engine itself waits for is a second or two.
ENDS_S = 180
THINKS_S = 0.15  # long enough for the calls of several characters to be on their way together
PLACES = [
    "before_claim.write_persona",
    "claimed.write_persona",
    "ran.write_persona",
    "completed.write_persona",
    "ran.index_batch",
    "ran.publish",
]
ALWAYS = ("ran.write_persona", "ran.publish", "ran.gather_cast")
IN_CHILDREN = ["ran.gather_cast", "completed.cut_chunks"]  # before and after the calls


class Till(ScriptedModel):
    """A model that takes its time, and counts what is paid per character and pass."""

    def __init__(self) -> None:
        super().__init__()
        self.paid: Counter[tuple[str, str]] = Counter()

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        asked = "\n".join(one["content"] for one in body["messages"])
        found = re.search(r"^Name: (.+)$", asked, re.MULTILINE)
        assert found is not None
        which = "analysis" if "response_format" in body else "prompt"
        self.paid[found[1], which] += 1
        await asyncio.sleep(THINKS_S)
        return await super().chat(request)


class Published(NamedTuple):
    """What a book has become."""

    cast: list[tuple[str, int, int, bool]]  # name, mentions, quotes, has a voice
    passages: int
    found_by_meaning: int
    found_by_words: int


@pytest.fixture(scope="module")
def till() -> Till:
    return Till()


@pytest.fixture(scope="module")
def stack(
    _postgres_server: None,
    _valkey_server: None,
    tmp_path_factory: pytest.TempPathFactory,
    till: Till,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with Served(till) as served:
        environment = {
            "MODELS_ANALYSIS": "openai/plain",
            "LLM_API_BASE": served.base,
            "LLM_API_KEY": "key",
        }
        with stack_of(folder, "io", "cpu", **environment) as running:
            yield running


def _alive() -> None:
    wait_for(lambda: live_queues() >= {"io", "cpu"}, ENDS_S)


@pytest.fixture(scope="module")
def undisturbed(stack: Stack, till: Till) -> Published:
    """What becomes of the novel when nobody dies."""
    job_id = _start(till)
    assert ended(job_id, ENDS_S).status == JobStatus.SUCCEEDED
    assert sorted(till.paid.values()) == [1] * 2 * TOP
    return _published(job_id)


@pytest.fixture(autouse=True)
def _all_alive(stack: Stack) -> None:
    stack.revive()
    _alive()


def _start(till: Till) -> UUID:
    """Bring the novel, and begin to read it in."""
    till.paid.clear()
    blob = BlobStore().put(NOVEL.read_text()[:NOVEL_CHARS].encode())
    with transaction() as session:
        book = new_book(title="Daisy Miller", author="Henry James", owner=OWNER)
        book.file_blob = blob.key
        session.add(book)
        session.flush()
        wanted = IngestBook(book_id=book.id, top=TOP, min_mentions=1)
        job = ingest.start(session, wanted, owner=OWNER)
        start_processing(session, book, job.id)
        return job.id


def _published(job_id: UUID) -> Published:
    with transaction() as session:
        book = session.exec(sqlmodel.select(Book).where(Book.job_id == job_id)).one()
        cast = list_characters(session, book.id, after=0, limit=1000)
        return Published(
            cast=[
                (one.name, one.mention_count, one.quote_count, one.system_prompt is not None)
                for one in cast
            ],
            passages=book.total_chunks,
            found_by_meaning=PgVectors().count(book.collection()),
            found_by_words=PgKeywords().count(book.collection()),
        )


def _check_paid(job_id: UUID, till: Till) -> None:
    """Each attempt that was cut short may have cost the one call that was on its way."""
    query = select(step.c.item_key, step.c.attempt)
    with connection() as conn:
        rows = conn.execute(query.where(step.c.job_id == job_id, step.c.name == "write_persona"))
        attempts = {row.item_key: row.attempt for row in rows}
    assert len(attempts) == TOP
    for name, count in attempts.items():
        assert count <= 2, attempts
        paid = till.paid[name, "analysis"], till.paid[name, "prompt"]
        assert min(paid) >= 1
        assert sum(paid) <= 2 + (count - 1), (name, paid, count)
    assert {name for name, _ in till.paid} == set(attempts)


def _check_ends_right(stack: Stack, till: Till, job_id: UUID, undisturbed: Published) -> None:
    assert ended(job_id, ENDS_S, between=stack.revive).status == JobStatus.SUCCEEDED
    assert stack.armed() == []
    assert _published(job_id) == undisturbed
    _check_paid(job_id, till)


def test_an_undisturbed_reading_pays_two_calls_per_character(undisturbed: Published) -> None:
    assert [one[3] for one in undisturbed.cast[:TOP]] == [True] * TOP
    assert not any(one[3] for one in undisturbed.cast[TOP:])
    assert any("Winterbourne" in one[0] for one in undisturbed.cast[:TOP])
    assert undisturbed.passages > 10
    assert undisturbed[1:] == (undisturbed.passages,) * 3


@pytest.mark.parametrize(
    ("victim", "place"),
    [
        pytest.param(victim, place, marks=() if place in ALWAYS else pytest.mark.long)
        for victim, places in (("worker", PLACES), ("child", IN_CHILDREN))
        for place in places
    ],
)
def test_a_process_killed_while_it_reads_a_book_loses_nothing_and_pays_nothing_twice(
    stack: Stack, till: Till, undisturbed: Published, victim: str, place: str
) -> None:
    stack.arm(place, victim)

    job_id = _start(till)

    _check_ends_right(stack, till, job_id, undisturbed)
    if "persona" not in place:
        assert till.paid.total() == 2 * TOP


def test_a_worker_killed_in_mid_call_pays_that_call_again_and_no_other(
    stack: Stack, till: Till, undisturbed: Published
) -> None:
    job_id = _start(till)
    wait_for(lambda: any(which == "prompt" for _, which in list(till.paid)), ENDS_S)

    stack.kill("io")

    _check_ends_right(stack, till, job_id, undisturbed)
    assert till.paid.total() <= 3 * TOP
