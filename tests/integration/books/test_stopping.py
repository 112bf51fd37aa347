"""Stopping a reply, and what may not be done while one is written."""

import asyncio
import threading

import httpx
from starlette.concurrency import run_in_threadpool

from tests.inline import drain
from tests.integration.books.talk import Actor, Talk, World


async def test_a_stopped_reply_keeps_what_was_said(
    client: httpx.AsyncClient, world: World, actor: Actor
) -> None:
    talk = await Talk.begin(client, world)
    actor.pause = threading.Event()
    asked = asyncio.create_task(
        client.post(f"/chat-sessions/{talk.id}/messages", json={"message": "What of the sea?"})
    )
    await run_until(actor.paused)

    told = (await client.post(f"/chat-sessions/{talk.id}/stop")).json()

    actor.pause = None
    assert (told["message"]["content"], told["stopping"]) == ("Reply", False)
    assert told["message"]["metadata"]["stopped"] is True
    assert '"code": 502' in (await asked).text
    assert await talk.texts() == ["What of the sea?", "Reply"]
    sources = (await client.get(f"/messages/{told['message']['id']}/sources")).json()["sources"]
    assert sources
    await talk.say("Go on.")
    assert (await talk.texts())[2:] == ["Go on.", "Reply 2."]
    again = (await client.post(f"/chat-sessions/{talk.id}/stop")).json()
    assert (again["message"], again["stopping"]) == (None, False)


async def test_a_stopped_reply_that_is_resumed_is_kept_whole_and_once(
    client: httpx.AsyncClient, world: World, actor: Actor
) -> None:
    talk = await Talk.begin(client, world)
    actor.pause = threading.Event()
    asked = asyncio.create_task(
        client.post(f"/chat-sessions/{talk.id}/messages", json={"message": "Hello?"})
    )
    await run_until(actor.paused)
    told = (await client.post(f"/chat-sessions/{talk.id}/stop")).json()
    await asked
    actor.pause = None

    answer = await client.post(f"/jobs/{told['job_id']}/resume")

    assert answer.status_code == 202
    await run_in_threadpool(drain)
    assert await talk.texts() == ["Hello?", "Reply 2."]
    assert (await talk.state())["last_message_preview"] == "Reply 2."
    (_, said) = (await talk.messages())["messages"]
    assert "stopped" not in said["metadata"]


async def run_until(happened: threading.Event) -> None:
    """Carry jobs out in a thread of their own until one of them has come so far."""
    threading.Thread(target=drain_soon, args=(happened,)).start()
    while not happened.is_set():
        await asyncio.sleep(0.02)


def drain_soon(happened: threading.Event) -> None:
    while not happened.is_set():
        drain()


async def test_a_reply_that_was_stopped_before_its_first_word_keeps_the_message(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    asked = asyncio.create_task(
        client.post(f"/chat-sessions/{talk.id}/messages", json={"message": "Hello?"})
    )
    while not (jobs := (await client.get("/jobs")).json()["jobs"]):
        await asyncio.sleep(0.02)

    await client.post(f"/jobs/{jobs[0]['id']}/cancel")

    await asked
    assert await talk.texts() == ["Hello?"]
    await run_in_threadpool(drain)
    assert await talk.texts() == ["Hello?"], "keeping it is safe to repeat"


async def test_no_branch_is_chosen_while_a_reply_is_written(
    client: httpx.AsyncClient, world: World
) -> None:
    talk = await Talk.begin(client, world)
    await talk.say("Hello?")
    (first, _) = (await talk.messages())["messages"]
    asked = asyncio.create_task(
        client.post(f"/chat-sessions/{talk.id}/messages", json={"message": "Now?"})
    )
    while len((await client.get("/jobs")).json()["jobs"]) < 2:
        await asyncio.sleep(0.02)

    busy = await client.post(f"/messages/{first['id']}/choose")
    streamed = await client.post(f"/messages/{first['id']}/edit", json={"message": "No?"})

    assert (busy.status_code, busy.json()["code"]) == (429, "session_busy")
    assert '"code": 429' in streamed.text
    await client.post(f"/chat-sessions/{talk.id}/stop")
    await asked
