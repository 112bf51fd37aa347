"""The list of conversations, and what can be done to one."""

import asyncio

import httpx
import pytest

from config.db import connection
from tests.inline import drain
from tests.integration.books.talk import Talk, World


async def listed(client: httpx.AsyncClient, **query: object) -> list[str]:
    answer = await client.get("/chat-sessions", params=query)  # type: ignore[arg-type]
    return [one["title"] for one in answer.json()["sessions"]]


async def test_the_last_one_talked_in_comes_first(client: httpx.AsyncClient, world: World) -> None:
    talks = [await Talk.begin(client, world, title=f"T{k}") for k in range(3)]
    assert await listed(client) == ["T2", "T1", "T0"]

    await talks[0].say("Hello?")

    assert await listed(client) == ["T0", "T2", "T1"]
    (first, *_) = (await client.get("/chat-sessions")).json()["sessions"]
    assert (first["last_message_preview"], first["message_count"]) == ("Reply 1.", 2)


async def test_a_list_is_read_page_by_page_though_talks_go_on(
    client: httpx.AsyncClient, world: World
) -> None:
    talks = [await Talk.begin(client, world, title=f"T{k}") for k in range(5)]
    page = (await client.get("/chat-sessions", params={"limit": 2})).json()
    await talks[4].say("Hello?")

    rest = await listed(client, limit=3, before=page["next"])

    assert [one["title"] for one in page["sessions"]] == ["T4", "T3"]
    assert rest == ["T2", "T1", "T0"]


@pytest.mark.parametrize("place", ["x", "2026-01-01T00:00:00~x", "~", "2026-01-01T00:00:00"])
async def test_a_place_that_is_none_is_refused(
    client: httpx.AsyncClient, world: World, place: str
) -> None:
    answer = await client.get("/chat-sessions", params={"before": place})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_place")


async def test_an_archived_talk_is_listed_only_when_asked_for(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    path = f"/chat-sessions/{talk.id}"

    told = (await client.patch(path, json={"is_archived": True, "title": "Old times"})).json()

    assert (told["title"], told["is_archived"]) == ("Old times", True)
    assert (await listed(client), await listed(client, archived=True)) == ([], ["Old times"])
    await client.patch(path, json={"is_archived": False})
    assert await listed(client, book_id=str(world.book)) == ["Old times"]


@pytest.mark.parametrize(
    "change", [{"title": ""}, {"title": "x" * 201}, {"title": "a\0"}, {"up_to_chapter": 0}]
)
async def test_a_change_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, world: World, change: dict[str, object]
) -> None:
    talk = await Talk.begin(client, world)

    answer = await client.patch(f"/chat-sessions/{talk.id}", json=change)

    assert answer.status_code == 400


async def test_a_deleted_talk_is_gone_with_its_messages(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    await talk.say("Hello?")
    (message, _) = (await talk.messages())["messages"]

    assert (await client.delete(f"/chat-sessions/{talk.id}")).status_code == 204

    assert (await client.get(f"/chat-sessions/{talk.id}")).status_code == 404
    assert (await client.get(f"/messages/{message['id']}")).status_code == 404
    with connection() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM chat_message").scalar_one() == 0


async def test_a_talk_that_is_deleted_stops_its_reply(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    asked = asyncio.create_task(
        client.post(f"/chat-sessions/{talk.id}/messages", json={"message": "Hello?"})
    )
    while not (jobs := (await client.get("/jobs")).json()["jobs"]):
        await asyncio.sleep(0.02)

    await client.delete(f"/chat-sessions/{talk.id}")

    assert (await asked).text.count('"code": 502') == 1
    assert (await client.get(f"/jobs/{jobs[0]['id']}")).json()["status"] == "cancelled"
    assert drain() == 0


async def test_wishes_of_a_talk_go_before_those_for_all(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    path = f"/chat-sessions/{talk.id}/preferences"
    general = {"relationship_mode": "friend", "speech_modifiers": ["short"]}
    assert (await client.put("/chat-preferences", json=general)).status_code == 200

    told = (await client.put(path, json={"relationship_mode": "rival"})).json()

    assert told["merged"]["relationship_mode"] == "rival"
    assert told["merged"]["speech_modifiers"] == ["short"]
    assert (await client.get(path)).json() == told
    assert (await client.get("/chat-preferences")).json()["relationship_mode"] == "friend"
