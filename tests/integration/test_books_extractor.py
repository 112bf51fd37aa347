"""Who reads a book: asked for with it, chosen by who lives, said in its job's events."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.db import connection
from models.base import new_id
from models.jobs import nodes
from pipelines.books.choice import NO_WORKER
from tests import inline

STORY = Path(__file__).parents[1] / "data/novels/DaisyMiller.txt"


@pytest.fixture
def text() -> bytes:
    return STORY.read_bytes()[:30_000]


async def add(client: httpx.AsyncClient, text: bytes, **fields: str) -> dict[str, Any]:
    """Read a book in, and return it with its job's messages."""
    data = {"title": "Daisy Miller"} | fields
    told = (await client.post("/books", data=data, files={"file": ("a.txt", text)})).json()
    inline.drain()
    take_back()
    inline.drain()
    with connection() as conn:
        rows = conn.exec_driver_sql(
            "SELECT data->>'message' FROM job_event WHERE type = 'step.progress' ORDER BY seq"
        )
        messages = [message for (message,) in rows]
    book: dict[str, Any] = (await client.get(f"/books/{told['id']}")).json()
    return book | {"messages": messages}


def start_worker() -> None:
    """Say that a worker of the queue lives; the steps run in this process."""
    with connection() as conn:
        row = {
            "id": new_id(), "hostname": "reader", "pid": os.getpid(), "slots": {"booknlp": 1},
            "fingerprints": {}, "draining": False,
        }  # fmt: skip
        nodes.beat(conn, row, lease_s=20)


def take_back() -> None:
    """Take what was sent to that worker back from the broker, to be run in this process."""
    with connection() as conn:
        conn.exec_driver_sql("DELETE FROM node")
        conn.exec_driver_sql("UPDATE step SET published_at = NULL WHERE status = 'ready'")


async def test_a_book_is_read_by_the_builtin_extractor_and_nothing_said(
    client: httpx.AsyncClient, text: bytes
) -> None:
    start_worker()
    book = await add(client, text)
    assert book["processing_status"] == "completed", book["processing_error"]
    assert book["processing_version"].startswith("builtin-")
    assert not [message for message in book["messages"] if "BookNLP" in message]


@pytest.mark.parametrize("asked", ["booknlp", "auto"])
async def test_without_a_worker_the_builtin_extractor_reads_and_the_events_say_so(
    client: httpx.AsyncClient, text: bytes, asked: str
) -> None:
    book = await add(client, text, extractor=asked)
    assert book["processing_version"].startswith("builtin-")
    assert NO_WORKER in book["messages"]


async def test_without_weights_the_builtin_extractor_reads_and_the_events_say_so(
    client: httpx.AsyncClient, text: bytes
) -> None:
    start_worker()
    book = await add(client, text, extractor="booknlp")
    assert book["processing_status"] == "completed", book["processing_error"]
    assert book["processing_version"].startswith("builtin-")
    assert any("instead of BookNLP: weights are missing" in one for one in book["messages"])


async def test_an_extractor_nobody_knows_is_refused(client: httpx.AsyncClient) -> None:
    book = (await client.post("/books", data={"title": "x"}, files={"file": ("a.txt", b"Hm.")})).json()  # fmt: skip  # noqa: E501
    body = {
        "book_id": book["id"], "file_url": "https://files.example/a.md", "extractor": "other",
        "user_id": "00000000-0000-4000-8000-000000000001",
    }  # fmt: skip
    refused = await client.post("/character/processing", json=body)
    assert refused.status_code == 400
    taken = await client.post("/character/processing", json=body | {"extractor": "auto"})
    assert taken.status_code == 202
    job = (await client.get(f"/jobs/{taken.json()['job_id']}")).json()
    assert job["status"] == "queued"
