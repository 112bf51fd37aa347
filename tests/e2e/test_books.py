"""A reader's journey: a novel goes in, its cast answers; real server, real workers, real HTTP."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.scripted_model import ScriptedModel, Served
from tests.stack import client_of, stack_of, wait_for

pytestmark = pytest.mark.timeout(240)
NOVEL = Path(__file__).parents[1] / "data/novels/TheSignOfTheFour.txt"
USER = "00000000-0000-4000-8000-000000000001"
TOKEN_S = 0.03
STOPS_S = 5.0  # as long as the request to stop waits; it takes half a second, and more under load


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[ScriptedModel, Served]]:
    scripted = ScriptedModel(tokens=60, interval_s=TOKEN_S)
    with Served(scripted) as served:
        yield scripted, served


@pytest.fixture(scope="module")
def client(
    _postgres_server: None,
    _valkey_server: None,
    tmp_path_factory: pytest.TempPathFactory,
    model: tuple[ScriptedModel, Served],
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("stack")
    environment = {
        "TRUST_GATEWAY": "true",
        "FETCH_ALLOW_LOOPBACK": "false",
        "MODELS_CHAT": "openai/plain",
        "MODELS_REWRITE": "openai/broken",
        "LLM_API_BASE": model[1].base,
        "LLM_API_KEY": "secret-key-of-the-test",
    }
    with stack_of(folder, **environment) as stack, client_of(stack) as opened:
        yield opened
    assert "secret-key-of-the-test" not in "".join(
        path.read_text(errors="replace") for path in folder.glob("*.log")
    )


@pytest.fixture(scope="module")
def book(client: httpx.Client) -> dict[str, Any]:
    with NOVEL.open("rb") as file:
        answer = client.post(
            "/books",
            data={"title": "The Sign of the Four", "author": "Arthur Conan Doyle"},
            files={"file": (NOVEL.name, file, "text/plain")},
        )
    assert answer.status_code == 201
    told: dict[str, Any] = answer.json()
    job = client.get(f"/jobs/{told['job_id']}", params={"wait": 20}).json()
    while job["finished_at"] is None:
        job = client.get(f"/jobs/{told['job_id']}", params={"wait": 20}).json()
    assert job["status"] == "succeeded", job["error"]
    found: dict[str, Any] = client.get(f"/books/{told['id']}").json()
    return found


def frames(answer: httpx.Response) -> list[tuple[str, Any]]:
    """Return (id, data) of each frame."""
    found, last = [], ""
    for line in answer.iter_lines():
        if line.startswith("id: "):
            last = line[4:]
        if line.startswith("data: "):
            found.append((last, json.loads(line[6:])))
    return found


@pytest.fixture(scope="module")
def holmes(client: httpx.Client, book: dict[str, Any]) -> dict[str, Any]:
    cast = client.get(f"/books/{book['id']}/characters").json()["characters"]
    found: dict[str, Any] = next(one for one in cast if "Holmes" in one["name"])
    return found


@pytest.fixture
def session(client: httpx.Client, holmes: dict[str, Any]) -> dict[str, Any]:
    opened: dict[str, Any] = client.post(
        "/chat-sessions", json={"character_id": holmes["id"]}
    ).json()
    return opened


@pytest.fixture
def long_reply(model: tuple[ScriptedModel, Served], monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the model speak for a minute; return what it would have said by then."""
    monkeypatch.setattr(model[0], "tokens", 2000)
    return model[0].expected()


def message(session: dict[str, Any], text: str) -> dict[str, str]:
    return {
        "user_id": USER,
        "character_id": session["character_id"],
        "book_id": session["book_id"],
        "session_id": session["session_id"],
        "user_message": text,
    }


def test_a_novel_becomes_a_book_that_is_completed(book: dict[str, Any]) -> None:
    assert book["processing_status"] == "completed"
    assert book["total_chunks"] > 50
    assert book["total_chapters"] == 12


def test_the_cast_is_led_by_holmes_who_has_a_voice(holmes: dict[str, Any]) -> None:
    assert holmes["pronouns"] == "he"
    assert holmes["has_voice"]


def test_a_reply_streams_token_by_token_and_both_messages_are_kept(
    client: httpx.Client, session: dict[str, Any], model: tuple[ScriptedModel, Served]
) -> None:
    with client.stream("POST", "/character/chat", json=message(session, "Who are you?")) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        got = [data for _, data in frames(answer)]

    expected = model[0].expected()
    assert got[-1] == {"done": True, "full_response": expected}
    assert "".join(one["token"] for one in got[:-1]) == expected
    assert len(got) == model[0].tokens + 1
    kept = client.get(f"/chat-sessions/{session['session_id']}/messages").json()["messages"]
    assert [(one["role"], one["content"]) for one in kept] == [
        ("user", "Who are you?"),
        ("character", expected),
    ]
    assert kept[1]["metadata"]["passages"]


def test_a_reader_that_reconnects_misses_nothing(
    client: httpx.Client, session: dict[str, Any], model: tuple[ScriptedModel, Served]
) -> None:
    got: list[tuple[str, Any]] = []
    with client.stream("POST", "/character/chat", json=message(session, "Go on.")) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                last = line[4:]
            if line.startswith("data: "):
                got.append((last, json.loads(line[6:])))
            if len(got) == 7:
                break
    path = f"/chat-sessions/{session['session_id']}/stream"
    with client.stream("GET", path, headers={"Last-Event-ID": got[-1][0]}) as answer:
        got += frames(answer)

    assert "".join(data.get("token", "") for _, data in got) == model[0].expected()
    assert got[-1][1]["done"] is True
    again = client.get(path, headers={"Last-Event-ID": got[-1][0]})
    assert again.status_code == 204


@pytest.mark.usefixtures("long_reply")
def test_a_second_message_meanwhile_is_told_which_job_is_writing(
    client: httpx.Client, session: dict[str, Any]
) -> None:
    with client.stream("POST", "/character/chat", json=message(session, "Speak.")) as answer:
        writing = answer.headers["x-job-id"]
        busy = client.post("/character/chat", json=message(session, "Me too!"))
        assert [json.loads(line[6:]) for line in busy.text.splitlines() if line[:5] == "data:"] == [
            {
                "error": "Another reply is being written in this session.",
                "code": 429,
                "job_id": writing,
                "stream": f"/jobs/{writing}/events",
            },
            {"done": True, "full_response": ""},
        ]
        client.post(f"/jobs/{writing}/cancel")
        answer.read()


@pytest.mark.usefixtures("long_reply")
def test_a_cancelled_reply_frees_the_session(client: httpx.Client, session: dict[str, Any]) -> None:
    with client.stream("POST", "/character/chat", json=message(session, "Speak.")) as answer:
        job_id = answer.headers["x-job-id"]
        client.post(f"/jobs/{job_id}/cancel")
        got = [data for _, data in frames(answer)]
    assert got[-1]["code"] == 502
    job = client.get(f"/jobs/{job_id}").json()
    assert job["status"] == "cancelled"
    again = client.post(f"/jobs/{job_id}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


def stopped(client: httpx.Client, talk: str) -> dict[str, Any] | None:
    """Ask the reply to stop; None while that is not confirmed."""
    told: dict[str, Any] = client.post(f"{talk}/stop").json()
    return None if told["stopping"] else told


def test_a_stopped_reply_keeps_its_words_and_another_one_can_be_written(
    client: httpx.Client,
    session: dict[str, Any],
    model: tuple[ScriptedModel, Served],
    monkeypatch: pytest.MonkeyPatch,
    long_reply: str,
) -> None:
    talk = f"/chat-sessions/{session['session_id']}"
    body = {"message": "Who is Watson?", "up_to_chapter": 2}
    with client.stream("POST", f"{talk}/messages", json=body) as answer:
        lines = answer.iter_lines()
        while not next(lines).startswith("data: "):
            pass
        told = wait_for(lambda: stopped(client, talk), 30)
        list(lines)

    words = told["message"]["content"]
    assert words
    assert long_reply.startswith(words)
    assert len(words) < len(long_reply) / 4
    job = client.get(f"/jobs/{answer.headers['x-job-id']}").json()
    asked, ended = map(datetime.fromisoformat, (job["cancel_requested_at"], job["finished_at"]))
    assert (ended - asked).total_seconds() < STOPS_S
    monkeypatch.undo()
    expected = model[0].expected()
    path = f"/messages/{told['message']['id']}"
    sources = client.get(f"{path}/sources").json()["sources"]
    assert sources
    assert all(one["chapter"] <= 2 for one in sources)
    with client.stream("POST", f"{path}/regenerate", json={}) as answer:
        assert frames(answer)[-1][1] == {"done": True, "full_response": expected}
    kept = client.get(f"{talk}/messages").json()["messages"]
    assert [one["content"] for one in kept] == ["Who is Watson?", expected]
    assert kept[1]["alternates"] == [told["message"]["id"], kept[1]["id"]]


def test_a_book_read_again_is_never_empty_meanwhile(
    client: httpx.Client, book: dict[str, Any], session: dict[str, Any]
) -> None:
    job_id = client.post(f"/jobs/{book['job_id']}/retry").json()["id"]
    asked = 0
    while client.get(f"/jobs/{job_id}").json()["finished_at"] is None and asked < 3:
        answer = client.post("/character/chat", json=message(session, "And now?"))
        assert '"done": true' in answer.text
        asked += 1
    wait_for(lambda: client.get(f"/jobs/{job_id}").json()["status"] == "succeeded", 60)
    kept = client.get(f"/chat-sessions/{session['session_id']}/messages").json()["messages"]
    assert asked > 0
    assert all(one["metadata"]["passages"] for one in kept if one["role"] == "character")


def test_an_address_inside_is_refused_and_the_book_says_why(client: httpx.Client) -> None:
    address = f"http://127.0.0.1:{os.getpid() % 1000 + 20000}/book.txt"
    told = client.post("/books", data={"title": "Inside", "file_url": address}).json()

    def failed() -> Any:
        found = client.get(f"/books/{told['id']}").json()
        return found if found["processing_status"] == "failed" else None

    found = wait_for(failed, 30)
    assert found["processing_error"]["code"] == "fetch_refused"


def test_readiness_names_what_is_missing(client: httpx.Client) -> None:
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["missing"]) == (200, {})


def test_the_documented_metrics_are_served(client: httpx.Client, book: dict[str, Any]) -> None:
    told = client.get("/metrics").text
    cast = client.get(f"/books/{book['id']}/characters", params={"limit": 100}).json()["characters"]
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }
    assert values["processing_characters_extracted_total",] >= len(cast)
    for name in (
        ("processing_jobs_queued_total",),
        ("processing_jobs_processed_total", "success"),
        ("processing_characters_processed_total", "success"),
        ("processing_pipeline_duration_seconds_count", "extract"),
        ("processing_pipeline_duration_seconds_sum", "prompt"),
        ("processing_pipeline_duration_seconds_count", "index"),
        ("processing_active_workers",),
        ("http_requests_total", "/books", "POST", "201"),
        ("http_request_duration_seconds_count", "/books", "POST"),
        ("http_requests_in_progress",),
    ):
        assert values[name] > 0, name
