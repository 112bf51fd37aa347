"""Readers get the whole of both logs, each content once, wherever they begin."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from api.app import app
from api.sse import sign_stream_token
from api.streams import ENGINE, Cursor, Hub, Start, finished
from config.db import connection
from config.redis import client
from config.settings import settings
from models.accounts import LOCAL_USER_ID
from models.base import new_id
from models.jobs import lifecycle
from models.jobs.streams import TOKEN
from tests.streaming import StreamingJob, frames, redis_key, text

pytestmark = pytest.mark.usefixtures("database_url", "redis_url")


@pytest.fixture
def job(database_url: str, redis_url: str) -> StreamingJob:
    return StreamingJob()


@pytest.fixture
async def hub(database_url: str, redis_url: str) -> AsyncIterator[Hub]:
    async with Hub().running() as running:
        yield running


@pytest.fixture
async def http(hub: Hub) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as opened:
        yield opened


async def read(hub: Hub, job: StreamingJob, cursor: Cursor = Cursor()) -> list[dict[str, Any]]:  # noqa: B008
    start = await hub.find_start(job.id, cursor)
    assert start is not None
    body = [chunk async for chunk in hub.frames(job.id, start, ENGINE)]
    return frames(b"".join(body).decode())


async def until(hub: Hub, job: StreamingJob, events: int) -> None:
    """Wait until the hub follows the job and has seen so many of its contents."""
    async with asyncio.timeout(5):
        while job.id not in hub.topics or hub.topics[job.id].count < events:
            await asyncio.sleep(0.005)


async def test_a_live_reader_gets_events_and_tokens_to_the_end(hub: Hub, job: StreamingJob) -> None:
    reading = asyncio.create_task(read(hub, job))
    await until(hub, job, 2)
    tokens = job.tokens()
    words = [f"{k} " for k in range(300)]
    said = await asyncio.to_thread(tokens.write, iter(words))
    await asyncio.to_thread(job.complete, tokens)
    found = await asyncio.wait_for(reading, 5)
    assert text(found) == said
    assert len([one for one in found if one["event"] == "token"]) == 300
    names = [one["event"] for one in found if one["event"] != "token"]
    assert names == ["job.queued", "step.started", "step.succeeded", "job.succeeded", "end"]
    assert found[-1]["data"] == {"status": "succeeded"}


async def test_a_finished_job_reads_back_the_same(hub: Hub, job: StreamingJob) -> None:
    reading = asyncio.create_task(read(hub, job))
    await until(hub, job, 2)
    tokens = job.tokens()
    await asyncio.to_thread(tokens.write, (f"{k} " for k in range(300)))
    await asyncio.to_thread(job.complete, tokens)
    live = await reading
    again = await read(hub, job)
    hub.topics.clear()  # nothing at hand: all from Postgres
    client().flushdb()
    stored = await read(hub, job)
    for kind in ("token", "step.succeeded"):
        logs = [[one["data"] for one in told if one["event"] == kind] for told in (live, stored)]
        assert logs[0] == logs[1]
    assert [one["data"] for one in again] == [one["data"] for one in live]
    assert stored[-2]["event"] == "job.succeeded"


async def test_every_cursor_of_a_stream_resumes_it_exactly(hub: Hub, job: StreamingJob) -> None:
    tokens = job.tokens()
    for k in range(150):
        tokens.emit(TOKEN, f"{k} ")
        if k % 40 == 0:
            tokens.save()
    await asyncio.to_thread(job.complete, tokens)
    whole = await read(hub, job)
    for k, one in enumerate(whole[:-1]):
        if k % 7 == 0:
            hub.topics.clear()
        rest = await read(hub, job, Cursor.parse(one["id"]))
        assert rest == whole[k + 1 :]
    assert await hub.find_start(job.id, Cursor.parse(whole[-1]["id"])) is None


async def test_a_slow_reader_replays_from_its_own_place(
    hub: Hub, job: StreamingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = settings.stream.model_copy(update={"window": 64})
    narrow = settings.model_copy(update={"stream": stream})
    monkeypatch.setattr("api.streams.topic.settings", narrow)
    start = await hub.find_start(job.id, Cursor())
    assert start is not None
    reading = hub.frames(job.id, start, ENGINE)
    body = [await anext(reading)]
    tokens = job.tokens()
    for k in range(2000):  # while the reader takes nothing
        tokens.emit(TOKEN, f"{k} ")
        if k % 100 == 0:
            tokens.save()
            await asyncio.sleep(0.01)
    await until(hub, job, 1500)
    assert hub.topics[job.id].first > 2
    await asyncio.to_thread(job.complete, tokens)
    body += [chunk async for chunk in reading]
    assert text(frames(b"".join(body).decode())) == "".join(f"{k} " for k in range(2000))


async def test_a_dead_attempt_is_followed_by_a_reset(hub: Hub, job: StreamingJob) -> None:
    reading = asyncio.create_task(read(hub, job))
    await until(hub, job, 2)
    first = job.tokens()
    await asyncio.to_thread(first.write, iter(["dead ", "text"]))
    await until(hub, job, 4)
    job.take_over()
    second = job.tokens()
    await asyncio.to_thread(second.write, iter(["live ", "text"]))
    await asyncio.to_thread(job.complete, second)
    found = await reading
    kinds = [one["event"] for one in found if one["event"] in ("token", "reset")]
    assert kinds == ["token", "token", "reset", "token", "token"]
    assert text(found[[one["event"] for one in found].index("reset") :]) == "live text"


async def test_a_gap_is_filled_from_the_log(hub: Hub, job: StreamingJob) -> None:
    reading = asyncio.create_task(read(hub, job))
    await until(hub, job, 2)
    topic = hub.topics[job.id]
    heard, topic.hear = topic.hear, lambda batch: None  # type: ignore[method-assign]
    tokens = job.tokens()
    tokens.emit(TOKEN, "lost ")
    await asyncio.sleep(0.1)
    topic.hear = heard  # type: ignore[method-assign]
    tokens.emit(TOKEN, "found")
    await until(hub, job, 4)
    await asyncio.to_thread(job.complete, tokens)
    assert text(await reading) == "lost found"


async def test_entries_that_redis_has_lost_come_from_postgres(hub: Hub, job: StreamingJob) -> None:
    tokens = job.tokens()
    tokens.emit(TOKEN, "stored ")
    tokens.save()
    tokens.emit(TOKEN, "lost ")
    await asyncio.sleep(0.1)
    client().flushdb()
    tokens.emit(TOKEN, "live")
    reading = asyncio.create_task(read(hub, job))
    await asyncio.sleep(0.1)
    assert client().xlen(redis_key(job.id)) == 1
    await asyncio.to_thread(tokens.save)
    await asyncio.to_thread(job.complete, tokens)
    assert text(await reading) == "stored lost live"


async def test_a_cursor_beyond_the_end_reads_what_there_is_then_live(
    hub: Hub, job: StreamingJob
) -> None:
    for foreign in (Cursor(999, 0), Cursor(1, 7 * 10**9 + 3)):
        reading = asyncio.create_task(read(hub, job, foreign))
        await until(hub, job, 2)
        await asyncio.sleep(0.05)
        reading.cancel()
    reading = asyncio.create_task(read(hub, job, Cursor(999, 0)))
    await asyncio.to_thread(job.complete, job.tokens())
    found = await reading
    assert found[0]["event"] == "job.queued"
    assert found[-1]["event"] == "end"


async def test_a_job_that_was_resumed_is_followed_to_its_new_end(
    hub: Hub, job: StreamingJob
) -> None:
    job.fail(job.tokens(), "no")
    failed = await read(hub, job)
    assert failed[-1]["data"]["status"] == "failed"
    with connection() as conn:
        lifecycle.resume(conn, job.id, lambda *_: [], lambda _: [])
    job.generation += 1
    reading = asyncio.create_task(read(hub, job, Cursor.parse(failed[-1]["id"])))
    await asyncio.sleep(0.05)
    job.claim = job._claim()
    tokens = job.tokens()
    await asyncio.to_thread(tokens.write, iter(["again"]))
    await asyncio.to_thread(job.complete, tokens)
    found = await reading
    assert text(found) == "again"
    assert found[-1]["data"] == {"status": "succeeded"}


async def test_waiting_for_a_job_ends_with_it(hub: Hub, job: StreamingJob) -> None:
    assert await finished(job.id, timeout_s=0.05) is None
    waiting = asyncio.create_task(finished(job.id, timeout_s=5))
    await asyncio.sleep(0.05)
    tokens = job.tokens()
    await asyncio.to_thread(tokens.write, iter(["done"]))
    await asyncio.to_thread(job.complete, tokens)
    ended = await asyncio.wait_for(waiting, 1)
    assert ended is not None
    assert (ended.status, ended.text) == ("succeeded", "done")
    assert await finished(job.id, timeout_s=1) == ended
    assert await finished(new_id(), timeout_s=1) is None


async def test_topics_are_shared_and_let_go(
    hub: Hub, job: StreamingJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = [asyncio.create_task(read(hub, job)) for _ in range(20)]
    await until(hub, job, 2)
    async with asyncio.timeout(5):
        while hub.readers < 20:
            await asyncio.sleep(0.005)
    assert len(hub.topics) == 1
    await asyncio.to_thread(job.complete, job.tokens())
    assert len({str(found) for found in await asyncio.gather(*readers)}) == 1
    assert hub.readers == 0
    monkeypatch.setattr("api.streams.hub.LINGER_S", 0.0)
    async with asyncio.timeout(5):
        while hub.topics:
            await asyncio.sleep(0.05)


async def test_the_hub_ends_every_stream_when_the_server_stops(job: StreamingJob) -> None:
    async with Hub().running() as hub:
        reading = asyncio.create_task(read(hub, job))
        await until(hub, job, 2)
        await asyncio.sleep(0.05)
        hub.shutdown.set()
        found = await asyncio.wait_for(reading, 1)
    assert [one["event"] for one in found] == ["job.queued", "step.started"]


async def test_a_stream_over_http_can_be_resumed_and_ends_with_204(
    http: AsyncClient, job: StreamingJob
) -> None:
    tokens = job.tokens()
    await asyncio.to_thread(tokens.write, iter(["It ", "is"]))
    await asyncio.to_thread(job.complete, tokens)
    answer = await http.get(f"/jobs/{job.id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("retry: 2000\nid: 1-0\nevent: job.queued\n")
    found = frames(answer.text)
    assert text(found) == "It is"
    half = found[2]["id"]
    by_header = await http.get(f"/jobs/{job.id}/events", headers={"Last-Event-ID": half})
    by_query = await http.get(f"/jobs/{job.id}/events", params={"after": half})
    assert frames(by_header.text) == frames(by_query.text) == found[3:]
    done = await http.get(f"/jobs/{job.id}/events", params={"after": found[-1]["id"]})
    assert done.status_code == 204


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-x", "1--2", "9" * 40 + "-1", "²-1"])
async def test_a_malformed_cursor_is_refused(
    http: AsyncClient, job: StreamingJob, cursor: str
) -> None:
    answer = await http.get(f"/jobs/{job.id}/events", params={"after": cursor})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_cursor"


async def test_a_stream_token_opens_one_job_only(http: AsyncClient, job: StreamingJob) -> None:
    await asyncio.to_thread(job.complete, job.tokens())
    token = sign_stream_token(job.id, LOCAL_USER_ID)
    mine = await http.get(f"/jobs/{job.id}/events", params={"token": token})
    assert mine.status_code == 200
    other = await asyncio.to_thread(StreamingJob)
    theirs = await http.get(f"/jobs/{other.id}/events", params={"token": token})
    assert theirs.status_code == 401


async def test_a_start_is_where_the_reader_was(hub: Hub, job: StreamingJob) -> None:
    assert await hub.find_start(job.id, Cursor(1, 0)) == Start(Cursor(1, 0), event_seq=2)
    assert await hub.find_start(new_id(), Cursor()) is None
