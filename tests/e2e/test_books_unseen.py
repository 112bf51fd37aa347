"""The whole journey over a novel that no other test reads in: Emma, three volumes long."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from tests.scripted_model import ScriptedModel, Served
from tests.stack import client_of, stack_of

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]
NOVEL = Path(__file__).parents[1] / "data/novels/Emma.txt"
CHAPTERS = 55  # of its three volumes
TOP = 6
FAMILIAR = ["Knightley", "Harriet", "Weston", "Elton", "Churchill", "Fairfax", "Bates"]
READ = 6  # chapters, by somebody who does not want to know more


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel(tokens=30, interval_s=0.01)


@pytest.fixture(scope="module")
def client(
    _postgres_server: None,
    _valkey_server: None,
    tmp_path_factory: pytest.TempPathFactory,
    model: ScriptedModel,
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("stack")
    with Served(model) as served:
        environment = {
            "MODELS_CHAT": "openai/plain",
            "LLM_API_BASE": served.base,
            "LLM_API_KEY": "key",
        }
        with stack_of(folder, **environment) as stack, client_of(stack, timeout_s=120) as opened:
            yield opened


@pytest.fixture(scope="module")
def reading(client: httpx.Client) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """The book's id, and what its job told whoever followed it."""
    with NOVEL.open("rb") as file:
        answer = client.post(
            "/books",
            data={"title": "Emma", "author": "Jane Austen", "top": str(TOP)},
            files={"file": (NOVEL.name, file, "text/plain")},
        )
    assert answer.status_code == 201
    told = answer.json()
    path = f"{answer.headers['location']}/events"
    with connect_sse(client, "GET", path) as source:
        events = [(one.event, one.json()) for one in source.iter_sse() if one.data]
    return told["id"], events


@pytest.fixture(scope="module")
def book(client: httpx.Client, reading: tuple[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/books/{reading[0]}").json()
    return found


@pytest.fixture(scope="module")
def cast(client: httpx.Client, book: dict[str, Any]) -> list[dict[str, Any]]:
    page = client.get(f"/books/{book['id']}/characters", params={"limit": 100}).json()
    found: list[dict[str, Any]] = page["characters"]
    return found


@pytest.fixture
def session(client: httpx.Client, cast: list[dict[str, Any]]) -> dict[str, Any]:
    opened: dict[str, Any] = client.post(
        "/chat-sessions", json={"character_id": cast[0]["id"]}
    ).json()
    return opened


def said(client: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    """Return the data of a streamed reply's frames."""
    with client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines]


def messages(client: httpx.Client, session: dict[str, Any]) -> list[dict[str, Any]]:
    path = f"/chat-sessions/{session['session_id']}/messages"
    found: list[dict[str, Any]] = client.get(path).json()["messages"]
    return found


def chapters_of(client: httpx.Client, message: dict[str, Any]) -> set[int]:
    told = client.get(f"/messages/{message['id']}/sources").json()["sources"]
    return {one["chapter"] for one in told}


def test_whoever_follows_sees_every_step_to_its_end(
    reading: tuple[str, list[tuple[str, dict[str, Any]]]], book: dict[str, Any]
) -> None:
    events = reading[1]
    assert events[-1] == ("end", {"status": "succeeded"})
    done = Counter(told["step"] for kind, told in events if kind == "step.succeeded")
    assert done["scan_chapter"] == done["read_chapter"] == CHAPTERS
    assert done["write_persona"] == TOP
    assert done["index_batch"] > 1
    assert done["publish"] == 1
    shares = [told for kind, told in events if kind == "step.progress"]
    assert [(one["done"], one["total"]) for one in shares] == [(CHAPTERS, CHAPTERS)]
    assert book["processing_status"] == "completed"
    assert book["total_chapters"] == CHAPTERS


def test_the_cast_is_led_by_emma_and_knows_highbury(cast: list[dict[str, Any]]) -> None:
    assert "Emma" in cast[0]["name"]
    assert cast[0]["pronouns"] == "she"
    leading = " · ".join(one["name"] for one in cast[:15])
    assert [name for name in FAMILIAR if name not in leading] == []
    assert sum(one["has_voice"] for one in cast) == TOP


def test_a_card_takes_a_character_along(client: httpx.Client, cast: list[dict[str, Any]]) -> None:
    path = f"/characters/{cast[0]['id']}/card"
    card = client.get(path).json()
    assert (card["spec"], card["data"]["name"]) == ("chara_card_v2", cast[0]["name"])
    assert card["data"]["system_prompt"]
    picture = client.get(path, params={"format": "png"})
    assert picture.content.startswith(b"\x89PNG")


def test_a_reply_streams_and_another_one_stands_beside_it(
    client: httpx.Client, session: dict[str, Any], model: ScriptedModel
) -> None:
    path = f"/chat-sessions/{session['session_id']}/messages"
    told = said(client, path, message="What do you think of Mr. Elton?")
    assert "".join(one["token"] for one in told[:-1]) == model.expected()
    assert told[-1] == {"done": True, "full_response": model.expected()}
    first = messages(client, session)[-1]
    assert chapters_of(client, first)

    assert said(client, f"/messages/{first['id']}/regenerate")[-1]["done"]

    second = messages(client, session)[-1]
    assert second["alternates"] == [first["id"], second["id"]]


def test_nothing_beyond_the_chapters_read_is_told(
    client: httpx.Client, session: dict[str, Any]
) -> None:
    path = f"/chat-sessions/{session['session_id']}/messages"
    question = "Whom does Frank Churchill marry, and what happened at Box Hill?"
    said(client, path, message=question)
    assert max(chapters_of(client, messages(client, session)[-1])) > READ

    said(client, path, message=question, up_to_chapter=READ)

    known = chapters_of(client, messages(client, session)[-1])
    assert known
    assert max(known) <= READ


def test_conversations_are_listed_archived_and_deleted(
    client: httpx.Client, book: dict[str, Any], session: dict[str, Any]
) -> None:
    path = f"/chat-sessions/{session['session_id']}"

    def listed(archived: bool) -> list[str]:
        asked = {"book_id": book["id"], "archived": archived}
        page = client.get("/chat-sessions", params=asked).json()
        return [one["session_id"] for one in page["sessions"]]

    assert listed(False)[0] == session["session_id"]
    assert client.patch(path, json={"is_archived": True}).json()["is_archived"]
    assert session["session_id"] not in listed(False)
    assert listed(True) == [session["session_id"]]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert listed(True) == []


def test_a_deleted_book_takes_its_cast_and_its_talks_with_it(
    client: httpx.Client, book: dict[str, Any], cast: list[dict[str, Any]], session: dict[str, Any]
) -> None:
    assert client.delete(f"/books/{book['id']}").status_code == 204
    for path in (
        f"/books/{book['id']}",
        f"/characters/{cast[0]['id']}",
        f"/chat-sessions/{session['session_id']}",
    ):
        assert client.get(path).status_code == 404
