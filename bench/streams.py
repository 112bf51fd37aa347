"""Token streams under load: exactness, live latency, and the price of a subscriber.

The writer is a process of its own; readers speak HTTP over TCP to a real uvicorn.
"""

import asyncio
import json
import random
import re
import resource
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import psutil

from bench.figures import Figure, bounded, median, percentile
from bench.servers import web

RECONNECTS = 10_000
FRAMES = 30  # at most, before a reader loses its connection
TOKENS = 600
FRAME = re.compile(rb"id: (\d+-(\d+))\nevent: (\S+)\ndata: (.*)\n\n")
PER_ATTEMPT = 10**9


@dataclass
class Reader:
    """One client that comes and goes until it has read a job's stream to the end."""

    port: int
    job_id: str
    dice: random.Random
    numbers: list[int] = field(default_factory=list)
    written: list[float] = field(default_factory=list)  # the tokens: when each was written
    delays_s: list[float] = field(default_factory=list)  # of those written while it listened
    lost_at: list[float] = field(default_factory=list)  # when connections ended before the stream
    last_id: str = ""
    done: bool = False

    @property
    def lost_live(self) -> int:
        """How many connections were lost before the last token was written."""
        return sum(at < self.written[-1] for at in self.lost_at)

    async def run(self, *, frames: int = 10**9) -> None:
        """Read to the end over connections that last up to so many frames."""
        while not self.done:
            await self._connection(self.dice.randint(1, frames))

    async def _connection(self, frames: int) -> None:
        live_from = time.time()
        async with aclosing(stream(self.port, self.job_id, self.last_id)) as bodies:
            async for body in bodies:
                now = time.time()
                for found in FRAME.finditer(body):
                    self._take(found, now, live_from)
                    frames -= 1
                    if self.done:
                        return
                    if not frames:  # what else has come is lost with the connection
                        self.lost_at.append(now)
                        return
        self.done = True  # 204: there was nothing more

    def _take(self, found: "re.Match[bytes]", now: float, live_from: float) -> None:
        id_, n, event, data = found.groups()
        self.last_id = id_.decode()
        if event == b"token":
            self.numbers.append(int(n) % PER_ATTEMPT)
            self.written.append(float(json.loads(data)["token"]))
            if self.written[-1] > live_from:
                self.delays_s.append(now - self.written[-1])
        self.done = event == b"end"


async def stream(port: int, job_id: str, last_id: str) -> AsyncGenerator[bytes, None]:
    """Yield whole frames of a job's stream as they arrive."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        outgoing.write(
            f"GET /jobs/{job_id}/events?after={last_id} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        status = await incoming.readline()
        while (await incoming.readline()).strip():
            pass
        if b" 204 " in status:
            return
        assert b" 200 " in status, status
        while size := int(await incoming.readline(), 16):
            chunk = await incoming.readexactly(size + 2)
            yield chunk[:-2]
    finally:
        outgoing.close()
        with suppress(ConnectionError):
            await outgoing.wait_closed()


def write(tokens: int, rate: float, ready: Any, go: Any) -> None:
    """Stream so many tokens, each the time at which it was written, and complete the job."""
    from tests.streaming import StreamingJob

    job = StreamingJob()
    ready.put(str(job.id))
    go.wait()

    def pieces() -> Iterator[str]:
        began = time.monotonic()
        for k in range(tokens):
            time.sleep(max(0.0, began + k / rate - time.monotonic()))
            yield f"{time.time():.6f} "

    writer = job.tokens()
    writer.write(pieces())
    job.complete(writer)


@contextmanager
def writing(tokens: int, rate: float) -> Iterator[tuple[str, Any]]:
    """Start the writer; yield the job's id and the event that lets it begin."""
    spawn = get_context("spawn")
    ready, go = spawn.Queue(), spawn.Event()
    process = spawn.Process(target=write, args=(tokens, rate, ready, go))
    process.start()
    try:
        yield ready.get(timeout=30), go
        process.join(60)
    finally:
        process.kill()
        process.join()


def delays_ms(readers: list[Reader]) -> list[float]:
    """Return how long live tokens took from the writer to the clients, in milliseconds."""
    return [1000 * one for reader in readers for one in reader.delays_s]


def exact(readers: list[Reader], tokens: int) -> int:
    """Return how many of a job's readers have got every token once, in order, and all the same."""
    whole, same = list(range(1, tokens + 1)), readers[0].written
    return sum(one.numbers == whole and one.written == same for one in readers)


async def reconnect(port: int, *, reconnects: int) -> list[Figure]:
    """Readers that lose their connection after a few frames, and go on while tokens still come.

    Each audience has a job of its own. Meanwhile the server's own connections to Redis are cut now
    and then.
    """
    everyone: list[Reader] = []
    right, cuts, began = 0, 0, time.monotonic()
    while _lost(everyone) < reconnects:
        with writing(TOKENS, rate=60) as (job_id, go):
            audience = [Reader(port, job_id, random.Random(len(everyone) + k)) for k in range(20)]
            reading = asyncio.gather(*(one.run(frames=FRAMES) for one in audience))
            go.set()
            cuts += await _cutting(reading, random.Random(len(everyone)))
            everyone += audience
            right += exact(audience, TOKENS)
    took = time.monotonic() - began
    lost, live = _lost(everyone), sum(one.lost_live for one in everyone)
    note = (
        f"{lost:,} disconnects ({lost / took:.0f}/s), {live:,} of them before the job's end; "
        f"{cuts} cuts between server and Redis"
    )
    wrong = len(everyone) - right
    name = "transcripts that differ after random disconnects"
    return [bounded(name, wrong, f"of {len(everyone)}", at_most=0, note=note)]


async def _cutting(reading: "asyncio.Future[list[None]]", fate: random.Random) -> int:
    """Cut the server off from Redis at random until all is read; return how often."""
    from config.redis import client

    cuts = 0
    while not reading.done():
        await asyncio.wait([reading], timeout=0.5)
        if fate.random() < 0.2:
            cuts += int(client().client_kill_filter(_type="pubsub"))
    await reading
    return cuts


def _lost(readers: list[Reader]) -> int:
    return sum(len(one.lost_at) for one in readers)


async def crowd(
    port: int, server: psutil.Process, *, readers: int, tokens: int, rate: float
) -> list[Figure]:
    """Many subscribers of one stream: memory, CPU and latency of each."""
    with writing(tokens, rate) as (job_id, go):
        rss = server.memory_info().rss
        audience = [Reader(port, job_id, random.Random(seed)) for seed in range(readers)]
        tasks = []
        for one in audience:
            tasks.append(asyncio.create_task(one.run()))
            await asyncio.sleep(0.005)
        while not all(one.last_id for one in audience):
            await asyncio.sleep(0.1)
        each_kib = (server.memory_info().rss - rss) / readers / 1024
        cpu = sum(server.cpu_times()[:2])
        go.set()
        await asyncio.gather(*tasks)
        spent = sum(server.cpu_times()[:2]) - cpu
    told = delays_ms(audience)
    who = f"{readers} subscribers of one stream, {rate:g} tokens/s"
    wrong = readers - exact(audience, tokens)
    return [
        bounded(f"{who}: delay of a token, p50", median(told), "ms"),
        bounded(f"{who}: delay of a token, p99", percentile(told, 0.99), "ms"),
        bounded(f"{who}: memory", each_kib, "KiB each"),
        bounded(f"{who}: CPU", 1e6 * spent / tokens / readers, "µs per event and subscriber"),
        bounded(f"{who}: transcripts that differ", wrong, f"of {readers}", at_most=0),
    ]


def measure(scale: float) -> list[Figure]:
    """Read from one API process; the writer and the readers share the machine with it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    with web("api.app:app") as (port, started):
        server = psutil.Process(started.pid)
        return [
            *asyncio.run(reconnect(port, reconnects=int(RECONNECTS * scale))),
            *asyncio.run(crowd(port, server, readers=10, tokens=int(600 * scale), rate=60)),
            *asyncio.run(
                crowd(port, server, readers=int(1000 * scale), tokens=int(200 * scale), rate=10)
            ),
        ]
