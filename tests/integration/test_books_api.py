from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from config.blobs import BlobStore
from config.db import connection
from tests.inline import drain

TEXT = b'CHAPTER I\n\nAnn met Bob. "Good day," said Ann.\n'


async def add(client: httpx.AsyncClient, name: str, data: bytes) -> httpx.Response:
    return await client.post("/books", data={"title": "A book"}, files={"file": (name, data)})


def rows(table: str) -> int:
    with connection() as conn:
        return int(conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("book.pdf", TEXT, "wrong_file_type"),
        ("book", TEXT, "wrong_file_type"),
        ("book.txt", b"", "empty_file"),
        ("book.txt", b" \n \n", "empty_file"),
        ("book.txt", b"\x7fELF\x00\x01\x02" * 100, "not_text"),
        ("book.md", bytes(range(1, 32)) * 64, "not_text"),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_and_nothing_stored(
    client: httpx.AsyncClient, name: str, data: bytes, code: str
) -> None:
    before = set(BlobStore().keys())

    answer = await add(client, name, data)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert isinstance(answer.json()["detail"], str)
    assert (rows("book"), rows("job"), set(BlobStore().keys())) == (0, 0, before)


async def test_a_book_in_another_language_fails_and_says_why(client: httpx.AsyncClient) -> None:
    french = "Longtemps, je me suis couché de bonne heure, et mes yeux se fermaient si vite. " * 9
    book = (await add(client, "book.txt", french.encode())).json()

    drain()

    found = (await client.get(f"/books/{book['id']}")).json()
    assert found["processing_status"] == "failed"
    assert found["processing_error"]["code"] == "not_english"


async def test_a_file_over_the_limit_is_refused_before_it_is_read(
    client: httpx.AsyncClient,
) -> None:
    announced = {
        "Content-Length": str(200 * 1024 * 1024),
        "Content-Type": "multipart/form-data; boundary=x",
    }

    answer = await client.post("/books", content=b"x", headers=announced)

    assert (answer.status_code, answer.json()["code"]) == (422, "file_too_large")


async def test_an_uploaded_book_waits_to_be_read_in(client: httpx.AsyncClient) -> None:
    answer = await add(client, "book.txt", TEXT)
    told = answer.json()

    assert (answer.status_code, told["processing_status"]) == (201, "queued")
    assert answer.headers["location"] == f"/jobs/{told['job_id']}"
    listed = (await client.get("/books")).json()["books"]
    assert [one["id"] for one in listed] == [told["id"]]


async def test_processing_answers_as_the_document_says(client: httpx.AsyncClient) -> None:
    book = (await add(client, "book.txt", TEXT)).json()
    body: dict[str, Any] = {
        "book_id": book["id"],
        "file_url": "https://files.example/a.md?sig=x.pdf",
        "user_id": "00000000-0000-4000-8000-000000000001",
    }

    good = await client.post("/character/processing", json=body)
    wrong_type = await client.post(
        "/character/processing", json=body | {"file_url": "https://files.example/a.pdf"}
    )
    missing = await client.post("/character/processing", json=body | {"book_id": str(uuid4())})
    malformed = await client.post("/character/processing", json={"book_id": "no"})
    no_json = await client.post(
        "/character/processing", content=b"{", headers={"Content-Type": "application/json"}
    )

    assert good.status_code == 202
    assert set(good.json()) == {"status", "job_id"}
    assert good.json()["status"] == "accepted"
    assert (wrong_type.status_code, wrong_type.json()["code"]) == (422, "wrong_file_type")
    assert (missing.status_code, missing.json()["code"]) == (422, "missing_book")
    assert (malformed.status_code, no_json.status_code) == (400, 400)
    assert "detail" in malformed.json()
    assert "detail" in no_json.json()


async def test_a_book_that_is_being_read_in_is_not_read_in_twice(
    client: httpx.AsyncClient,
) -> None:
    book = (await add(client, "book.txt", TEXT)).json()
    body = {
        "book_id": book["id"],
        "file_url": "https://files.example/a.md",
        "user_id": "00000000-0000-4000-8000-000000000001",
    }

    first = (await client.post("/character/processing", json=body)).json()
    again = (await client.post("/character/processing", json=body)).json()

    assert first["job_id"] == again["job_id"]


async def test_a_chat_with_an_unknown_session_is_404_before_any_stream(
    client: httpx.AsyncClient,
) -> None:
    body = {
        "user_id": "00000000-0000-4000-8000-000000000001",
        "character_id": str(uuid4()),
        "book_id": str(uuid4()),
        "session_id": str(uuid4()),
        "user_message": "Hello?",
    }

    unknown = await client.post("/character/chat", json=body)
    malformed = await client.post("/character/chat", json=body | {"session_id": "no"})
    empty = await client.post("/character/chat", json=body | {"user_message": ""})

    assert (unknown.status_code, unknown.json()["code"]) == (404, "session_not_found")
    assert (malformed.status_code, empty.status_code) == (400, 400)


async def test_somebody_elses_book_is_not_found(client: httpx.AsyncClient) -> None:
    book = (await add(client, "book.txt", TEXT)).json()

    for path in (f"/books/{book['id']}", f"/books/{book['id']}/characters"):
        assert (await client.get(path)).status_code == 200
        assert (await client.get(f"/books/{uuid4()}")).status_code == 404


async def test_a_deleted_book_is_gone_with_its_job_stopped(client: httpx.AsyncClient) -> None:
    book = (await add(client, "book.txt", TEXT)).json()

    assert (await client.delete(f"/books/{book['id']}")).status_code == 204

    assert (await client.get(f"/books/{book['id']}")).status_code == 404
    assert (await client.get(f"/jobs/{book['job_id']}")).json()["status"] == "cancelled"


async def test_health_is_ok_as_text_and_as_json(client: httpx.AsyncClient) -> None:
    plain = await client.get("/health", headers={"Accept": "text/plain"})
    told = await client.get("/health")

    assert (plain.text, plain.headers["content-type"].split(";")[0]) == ("ok", "text/plain")
    assert told.json() == {"status": "ok", "service": "longrun"}
    assert "cache-control" not in plain.headers


async def test_a_book_tells_how_long_it_will_still_be_read(client: httpx.AsyncClient) -> None:
    book = (await add(client, "book.txt", TEXT)).json()
    assert book["eta_s"] is None
    with connection() as conn:
        conn.exec_driver_sql(
            "UPDATE job SET status = 'running', progress = 0.25,"
            " started_at = clock_timestamp() - interval '60 seconds'"
        )

    found = (await client.get(f"/books/{book['id']}")).json()

    assert (found["processing_status"], found["progress"]) == ("processing", 0.25)
    assert 180 <= found["eta_s"] < 600
    drain()
    assert (await client.get(f"/books/{book['id']}")).json()["eta_s"] is None


def test_novels_for_tests_are_there() -> None:
    folder = Path(__file__).parents[1] / "data/novels"
    assert len(list(folder.glob("*.txt"))) == 7
