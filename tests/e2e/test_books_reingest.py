"""A book is read in again while twenty people talk with its cast; none of them notices."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scripted_model import ScriptedModel, Served
from tests.stack import client_of, stack_of, wait_for

pytestmark = pytest.mark.timeout(400)
NOVELS = Path(__file__).parents[1] / "data/novels"
USER = "00000000-0000-4000-8000-000000000001"
CHATS = 20
READINGS = 2  # the second one drops the version that the chats began with
QUESTIONS = ["Who is Daisy Miller?", "What happened in Rome?", "Do you like Geneva?"]


class Shelf(SimpleHTTPRequestHandler):
    """Lends the novels on loopback."""

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def address() -> Iterator[str]:
    lend = partial(Shelf, directory=str(NOVELS))
    with ThreadingHTTPServer(("127.0.0.1", 0), lend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/DaisyMiller.txt"
        server.shutdown()


@pytest.fixture
def client(_postgres_server: None, _valkey_server: None, tmp_path: Path) -> Iterator[httpx.Client]:
    with Served(ScriptedModel(tokens=12, interval_s=0.02)) as served:
        environment = {
            "FETCH_ALLOW_LOOPBACK": "true",
            "LIMITS_ENABLED": "false",
            "MODELS_CHAT": "openai/plain",
            "LLM_API_BASE": served.base,
            "LLM_API_KEY": "key",
        }
        with stack_of(tmp_path, **environment) as stack, client_of(stack, timeout_s=120) as opened:
            yield opened


def read_in(client: httpx.Client, book_id: str, address: str) -> str:
    body = {"book_id": book_id, "file_url": address, "user_id": USER}
    answer = client.post("/character/processing", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def await_end(client: httpx.Client, job_id: str) -> None:
    def ended() -> Any:
        job = client.get(f"/jobs/{job_id}", params={"wait": 10}).json()
        return job if job["finished_at"] else None

    job = wait_for(ended, 180)
    assert job["status"] == "succeeded", job["error"]


def converse(client: httpx.Client, session: dict[str, Any], over: threading.Event) -> list[str]:
    """Ask until the readings are over, and once more; return the jobs of replies, all whole."""
    jobs: list[str] = []
    last = False
    while not last:
        last = over.is_set()
        body = {
            "user_id": USER,
            "character_id": session["character_id"],
            "book_id": session["book_id"],
            "session_id": session["session_id"],
            "user_message": QUESTIONS[len(jobs) % len(QUESTIONS)],
        }
        answer = client.post("/character/chat", json=body)
        assert answer.status_code == 200, answer.text
        told = [json.loads(x[6:]) for x in answer.text.splitlines() if x.startswith("data: ")]
        assert told[-1].get("done"), told[-1]
        assert told[-1]["full_response"]
        jobs.append(answer.headers["x-job-id"])
    return jobs


def replies(client: httpx.Client, session: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/chat-sessions/{session['session_id']}/messages"
    kept = client.get(path, params={"limit": 100}).json()["messages"]
    return [one for one in kept if one["role"] == "character"]


def times(client: httpx.Client, job_id: str, name: str) -> tuple[str, str]:
    """Return when a job's step began and ended."""
    rows = client.get(f"/jobs/{job_id}/steps").json()
    found = next(row for row in rows if row["name"] == name)
    return found["started_at"], found["finished_at"]


def test_twenty_chats_go_on_while_their_book_is_read_in_again(
    client: httpx.Client, address: str
) -> None:
    with (NOVELS / "DaisyMiller.txt").open("rb") as file:
        told = client.post("/books", data={"title": "Daisy Miller"}, files={"file": file}).json()
    await_end(client, told["job_id"])
    cast = client.get(f"/books/{told['id']}/characters").json()["characters"]
    sessions = [
        client.post("/chat-sessions", json={"character_id": cast[k % 2]["id"]}).json()
        for k in range(CHATS)
    ]
    over = threading.Event()

    with ThreadPoolExecutor(CHATS) as crowd:
        talks = [crowd.submit(converse, client, session, over) for session in sessions]
        try:
            readings = []
            for _ in range(READINGS):
                readings.append(read_in(client, told["id"], address))
                await_end(client, readings[-1])
        finally:
            over.set()
        asked = [talk.result() for talk in talks]

    assert min(map(len, asked)) >= 2
    published = [times(client, job, "publish") for job in readings]
    for session, jobs in zip(sessions, asked, strict=True):
        said = replies(client, session)
        assert len(said) == min(len(jobs), 50)
        for one, job in zip(said, jobs[-50:], strict=True):
            sources = client.get(f"/messages/{one['id']}/sources").json()["sources"]
            begun = times(client, job, "load_context"), times(client, job, "retrieve")
            assert sources, (begun, published)
    after = client.get(f"/books/{told['id']}/characters").json()["characters"]
    assert [one["id"] for one in after] == [one["id"] for one in cast]
