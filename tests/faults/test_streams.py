"""Redis dies, forgets, hangs, cuts its followers off; every reader still gets every token once."""

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from api.streams import ENGINE, Cursor, Hub
from config.local import EmbeddedPostgres, EmbeddedValkey
from config.redis import client
from config.settings import settings
from models.jobs.streams import text_of
from tests.stack import Stack
from tests.streaming import StreamingJob, frames, text

pytestmark = pytest.mark.usefixtures("database_url", "redis_url")

TOKENS = 600
READERS = 25
EXACT = [True] * READERS


@pytest.fixture
def job(database_url: str, redis_url: str) -> StreamingJob:
    return StreamingJob()


@pytest.fixture
async def hub(database_url: str, redis_url: str) -> AsyncIterator[Hub]:
    async with Hub().running() as running:
        yield running


def paced(count: int, seconds: float, at: Mapping[int, Callable[[], object]]) -> Iterator[str]:
    """Yield tokens evenly over so many seconds; do what is to be done before some of them."""
    for k in range(count):
        if k in at:
            at[k]()
        yield f"w{k} "
        time.sleep(seconds / count)


def carry_out(job: StreamingJob, pieces: Iterator[str]) -> str:
    """Write as a worker's step does, and complete."""
    tokens = job.tokens()
    said = tokens.write(pieces)
    job.complete(tokens)
    return said


async def read(hub: Hub, job: StreamingJob, seed: int) -> str:
    """Read to the end over many short connections, with stalls; return the text."""
    dice = random.Random(seed)
    found: list[dict[str, Any]] = []
    while not found or found[-1]["event"] != "end":
        cursor = Cursor.parse(found[-1]["id"] if found else None)
        start = await hub.find_start(job.id, cursor)
        if start is None:
            break
        until = time.monotonic() + dice.uniform(0.05, 0.8)
        async for chunk in hub.frames(job.id, start, ENGINE):
            found += frames(chunk.decode())
            if dice.random() < 0.02:
                await asyncio.sleep(0.3)
            if time.monotonic() > until:
                break
    assert len({one["id"] for one in found if one["event"] == "token"}) == len(
        [one for one in found if one["event"] == "token"]
    )
    return text(found)


async def told_to_all(hub: Hub, job: StreamingJob, pieces: Iterator[str]) -> list[bool]:
    """Return for each reader whether it was told exactly what the job has said."""
    readers = [asyncio.create_task(read(hub, job, seed)) for seed in range(READERS)]
    async with asyncio.timeout(60):
        said = await asyncio.to_thread(carry_out, job, pieces)
        told = await asyncio.gather(*readers)
    assert text_of(job.stored()) == said == "".join(f"w{k} " for k in range(TOKENS))
    return [one == said for one in told]


async def test_readers_that_come_and_go_while_redis_cuts_them_off(
    hub: Hub, job: StreamingJob
) -> None:
    def cut() -> None:
        client().client_kill_filter(_type="pubsub")

    assert (
        await told_to_all(hub, job, paced(TOKENS, 4, {k: cut for k in range(50, TOKENS, 50)}))
        == EXACT
    )


async def test_a_redis_that_forgets_everything_in_mid_stream(hub: Hub, job: StreamingJob) -> None:
    flush = {k: client().flushall for k in range(100, TOKENS, 130)}
    assert await told_to_all(hub, job, paced(TOKENS, 4, flush)) == EXACT


async def test_a_redis_that_stops_and_starts_in_mid_stream(
    hub: Hub, job: StreamingJob, valkey: EmbeddedValkey
) -> None:
    def start() -> None:
        threading.Thread(target=valkey.start).start()

    assert await told_to_all(hub, job, paced(TOKENS, 6, {150: valkey.kill, 350: start})) == EXACT


async def test_a_redis_that_hangs_does_not_hold_up_the_model(
    hub: Hub, job: StreamingJob, valkey: EmbeddedValkey
) -> None:
    began = time.monotonic()
    took: list[float] = []

    def finished() -> None:
        took.append(time.monotonic() - began)

    try:
        hang = paced(TOKENS, 3, {100: valkey.suspend, TOKENS - 1: finished})
        assert await told_to_all(hub, job, hang) == EXACT
    finally:
        valkey.resume()
    assert took[0] < 4.5


async def test_a_redis_that_was_away_from_the_beginning(
    job: StreamingJob, valkey: EmbeddedValkey
) -> None:
    valkey.stop()
    with pytest.raises(redis.ConnectionError):
        client().ping()
    async with Hub().running() as hub:
        assert await told_to_all(hub, job, paced(TOKENS, 2, {})) == EXACT


async def test_tokens_are_live_while_postgres_is_away(
    hub: Hub, job: StreamingJob, postgres: EmbeddedPostgres
) -> None:
    start = await hub.find_start(job.id, Cursor())
    assert start is not None
    reading = hub.frames(job.id, start, ENGINE)
    body = [await anext(reading)]
    tokens = job.tokens()
    postgres.stop()
    tokens.emit("token", "live")
    body.append(await asyncio.wait_for(anext(reading), 30))
    await asyncio.sleep(1.5 * settings.stream.compact_s)
    postgres.start()
    tokens.emit("token", " still")
    await asyncio.to_thread(job.complete, tokens)
    body += [chunk async for chunk in reading]
    assert text(frames(b"".join(body).decode())) == "live still" == text_of(job.stored())


@pytest.fixture
def server(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A real API server, for what only TCP shows."""
    running = Stack(tmp_path)
    running.start_web()
    yield running
    running.stop()


def connect(server: Stack, job: StreamingJob, receive_bytes: int = 0) -> socket.socket:
    """Open the job's stream over TCP; with a small buffer the kernel soon takes no more."""
    opened = socket.socket()
    if receive_bytes:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    opened.connect(("127.0.0.1", server.port))
    opened.settimeout(30)
    opened.sendall(f"GET /jobs/{job.id}/events HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return opened


def receive(opened: socket.socket, last: bytes) -> bytes:
    body = bytearray()
    while not body.endswith(last):
        received = opened.recv(2**16)
        assert received, "the stream was cut off"
        body += received
    return bytes(body)


def rest(opened: socket.socket) -> str:
    """Return the frames that come before the end of the chunked body."""
    body = receive(opened, b"\r\n0\r\n\r\n").partition(b"\r\n\r\n")[2]
    return re.sub(rb"(^|\r\n)[0-9a-f]+\r\n", b"", body).decode()


def test_a_stalled_reader_holds_nobody_up_and_loses_nothing(
    server: Stack, job: StreamingJob
) -> None:
    words = [f"{k} ".ljust(2000) for k in range(3000)]  # more than the kernel holds for a socket
    with connect(server, job, receive_bytes=4096) as stalled, connect(server, job) as brisk:
        telling = threading.Thread(target=carry_out, args=(job, iter(words)))
        telling.start()
        assert text(frames(rest(brisk))) == "".join(words)
        telling.join()
        assert text(frames(rest(stalled))) == "".join(words)


def test_open_streams_end_cleanly_when_the_server_stops(server: Stack, job: StreamingJob) -> None:
    assert server.web is not None
    with connect(server, job) as reader:
        receive(reader, b'"attempt": 1}\n\n\r\n')
        began = time.monotonic()
        server.web.terminate()
        assert receive(reader, b"0\r\n\r\n") == b"0\r\n\r\n"
        server.web.wait(10)
    assert time.monotonic() - began < 3
