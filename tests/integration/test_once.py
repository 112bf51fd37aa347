"""Every request that starts a job starts it once under its Idempotency-Key."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from fastapi.routing import iter_route_contexts

from tests import inline
from tests.pipelines import OWNER
from tests.web import app

KEY = {"Idempotency-Key": "one"}
GOAL = {"title": "Run", "description": "over 2 weeks", "user_id": str(OWNER)}
ONCE = {  # the routes that start a job, and take a key
    "/books", "/character/processing", "/character/chat", "/chat-sessions/{session_id}/messages",
    "/messages/{message_id}/regenerate", "/messages/{message_id}/edit", "/jobs/{pipeline}",
    "/jobs/{job_id}/retry", "/jobs/{job_id}/fork", "/goals", "/goals/{goal_id}/replan",
    "/api/v1/rag/ingest",
}  # fmt: skip

Send = Callable[..., Awaitable[httpx.Response]]


async def ids(client: httpx.AsyncClient) -> list[str]:
    page = (await client.get("/jobs", params={"limit": 100})).json()
    return [one["id"] for one in page["jobs"]]


def test_the_routes_that_take_a_key_are_those_that_start_jobs() -> None:
    found = set()
    for route in iter_route_contexts(app.routes):
        operation = app.openapi()["paths"].get(route.path, {}).get("post", {})
        if any(one["name"] == "idempotency-key" for one in operation.get("parameters", [])):
            found.add(route.path)
    assert found == ONCE


async def sent_twice(send: Send, other: Send) -> tuple[httpx.Response, httpx.Response]:
    """Send a request twice, then another one under the same key; return the first two answers."""
    first, again, reused = (
        await send(headers=KEY),
        await send(headers=KEY),
        await other(headers=KEY),
    )
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (first.status_code, reused.status_code) == (again.status_code, 422)
    return first, again


async def test_a_goal_is_made_once(client: httpx.AsyncClient) -> None:
    def send(**changed: Any) -> Send:
        return lambda **more: client.post("/goals", json=GOAL | changed, **more)

    first, again = await sent_twice(send(), send(title="Swim"))

    assert first.json() == again.json()
    assert first.headers["x-job-id"] == again.headers["x-job-id"]
    assert len((await client.get("/goals")).json()) == 1
    unkeyed = await client.post("/goals", json=GOAL)
    assert unkeyed.json()["id"] != first.json()["id"]


async def test_a_goal_asked_for_all_at_once_is_made_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(client.post("/goals", json=GOAL, headers=KEY) for _ in range(6))
    )

    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.json()["id"] for one in answers if one.status_code == 201}) == 1
    assert len(await ids(client)) == 1


async def test_a_goal_is_planned_anew_once(client: httpx.AsyncClient) -> None:
    goal = (await client.post("/goals", json=GOAL)).json()
    inline.drain()

    def send(wishes: str) -> Send:
        path = f"/goals/{goal['id']}/replan"
        return lambda **more: client.post(path, json={"wishes": wishes}, **more)

    first, again = await sent_twice(send("shorter"), send("longer"))

    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]


async def test_a_book_is_brought_once_and_its_bytes_count(client: httpx.AsyncClient) -> None:
    def send(text: bytes) -> Send:
        files = {"file": ("a.txt", text)}
        return lambda **more: client.post("/books", data={"title": "A"}, files=files, **more)

    first, again = await sent_twice(send(b"Good day."), send(b"Good night."))

    assert first.json()["id"] == again.json()["id"]
    assert len((await client.get("/books")).json()["books"]) == 1


async def test_a_job_is_forked_once(client: httpx.AsyncClient) -> None:
    job = (await client.post("/jobs/tests.fan", json={"count": 1})).json()
    inline.drain()

    def send(step: str) -> Send:
        path = f"/jobs/{job['id']}/fork"
        return lambda **more: client.post(path, json={"step": step}, **more)

    first, again = await sent_twice(send("add"), send("record"))

    assert first.json()["id"] == again.json()["id"] != job["id"]


async def test_a_job_is_retried_once_a_key(client: httpx.AsyncClient) -> None:
    job = (await client.post("/jobs/tests.fan", json={"count": 1})).json()
    path = f"/jobs/{job['id']}/retry"

    first, again = [await client.post(path, headers=KEY) for _ in range(2)]
    another = await client.post(path, headers={"Idempotency-Key": "two"})

    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"] != another.json()["id"]
