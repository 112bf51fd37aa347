"""Token streams under load: exactness, live latency, and the price of a subscriber.

`python -m bench.streams` starts a Postgres, a Valkey and one API process of its own and prints the
figures as JSON. The writer is a process of its own; readers speak HTTP over TCP to a real uvicorn.
All of it shares the machine with the generator of the load.
"""

import asyncio
import json
import os
import random
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

FRAME = re.compile(rb"id: (\d+-(\d+))\nevent: (\S+)\ndata: (.*)\n\n")
PER_ATTEMPT = 10**9


@dataclass
class Reader:
    """One client that comes and goes until it has read a job's stream to the end."""

    port: int
    job_id: str
    dice: random.Random
    numbers: list[int] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)  # of tokens written while it listened
    last_id: str = ""
    connects: int = 0
    done: bool = False

    async def run(
        self, *, seconds: float = 3600.0, frames: int = 10**9, stall: float = 0.0
    ) -> None:
        """Read to the end over connections of random length, up to these bounds."""
        while not self.done:
            until = time.monotonic() + self.dice.uniform(0.05, 1) * seconds
            await self._connection(until, self.dice.randint(1, frames), stall)

    async def _connection(self, until: float, frames: int, stall: float) -> None:
        self.connects += 1
        live_from = time.time()
        async with aclosing(stream(self.port, self.job_id, self.last_id)) as bodies:
            async for body in bodies:
                now = time.time()
                for found in FRAME.finditer(body):
                    self._take(*found.groups(), now, live_from)
                    frames -= 1
                    if self.done or not frames:  # what else has come is lost with the connection
                        return
                if stall and self.dice.random() < stall:
                    await asyncio.sleep(0.5)
                    live_from = time.time()
                if time.monotonic() > until:
                    return
        self.done = True  # 204: there was nothing more

    def _take(
        self, id_: bytes, n: bytes, event: bytes, data: bytes, now: float, live_from: float
    ) -> None:
        self.last_id = id_.decode()
        if event == b"token":
            self.numbers.append(int(n) % PER_ATTEMPT)
            written = float(json.loads(data)["token"])
            if written > live_from:
                self.delays_s.append(now - written)
        self.done = event == b"end"


async def stream(port: int, job_id: str, last_id: str) -> AsyncIterator[bytes]:
    """Yield whole frames of a job's stream as they arrive."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        outgoing.write(
            f"GET /jobs/{job_id}/events?after={last_id} HTTP/1.1\r\nHost: bench\r\n"
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


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def delays(readers: list[Reader]) -> dict[str, float]:
    """Return live latency in milliseconds, from the model's loop to the client."""
    told = [1000 * one for reader in readers for one in reader.delays_s]
    return {
        "live_ms_p50": round(statistics.median(told), 1),
        "live_ms_p99": round(percentile(told, 0.99), 1),
    }


def exact(readers: list[Reader], tokens: int) -> int:
    """Return how many of the readers have got every token once, in order."""
    return sum(one.numbers == list(range(1, tokens + 1)) for one in readers)


async def come_and_go(port: int, *, readers: int, tokens: int, rate: float) -> dict[str, Any]:
    """Readers with random disconnects and stalls while pub/sub connections are killed."""
    from config.redis import client

    kills, fate = 0, random.Random(0)
    with writing(tokens, rate) as (job_id, go):
        everyone = [Reader(port, job_id, random.Random(seed)) for seed in range(readers)]
        tasks = [asyncio.create_task(one.run(seconds=8, stall=0.01)) for one in everyone]
        go.set()
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=0.5)
            if fate.random() < 0.2:
                kills += int(client().client_kill_filter(_type="pubsub"))
        for task in tasks:
            task.result()
    return {
        "tokens": tokens,
        "readers": readers,
        "exact_transcripts": exact(everyone, tokens),
        "reconnects": sum(one.connects - 1 for one in everyone),
        "pubsub_kills": kills,
        **delays(everyone),
    }


async def reconnect(port: int, *, reconnects: int, tokens: int, rate: float) -> dict[str, Any]:
    """Readers that lose their connection after a few frames, first live, then afterwards."""
    everyone: list[Reader] = []
    began = time.monotonic()
    with writing(tokens, rate) as (job_id, go):
        go.set()
        while sum(one.connects - 1 for one in everyone) < reconnects:
            more = [Reader(port, job_id, random.Random(len(everyone) + k)) for k in range(20)]
            await asyncio.gather(*(one.run(frames=30) for one in more))
            everyone += more
    count = sum(one.connects - 1 for one in everyone)
    return {
        "reconnects": count,
        "transcripts": len(everyone),
        "exact_transcripts": exact(everyone, tokens),
        "reconnects_per_s": round(count / (time.monotonic() - began), 1),
    }


async def crowd(
    port: int, server: psutil.Process, *, readers: int, tokens: int, rate: float
) -> dict[str, Any]:
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
        idle_kib = (server.memory_info().rss - rss) / readers / 1024
        cpu, began = sum(server.cpu_times()[:2]), time.monotonic()
        go.set()
        await asyncio.gather(*tasks)
        took, spent = time.monotonic() - began, sum(server.cpu_times()[:2]) - cpu
    return {
        "subscribers": readers,
        "exact_transcripts": exact(audience, tokens),
        "kib_per_subscriber": round(idle_kib, 1),
        "kib_per_subscriber_after": round((server.memory_info().rss - rss) / readers / 1024, 1),
        "cpu_us_per_event_and_subscriber": round(1e6 * spent / tokens / readers, 1),
        "server_cpu_share": round(spent / took, 2),
        **delays(audience),
    }


@contextmanager
def api_process() -> Iterator[tuple[int, psutil.Process]]:
    """Run one API process on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "api.app:app", "--port", str(port)]
    with subprocess.Popen([*command, "--log-level", "warning", "--backlog", "4096"]) as server:
        try:
            for _ in range(300):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield port, psutil.Process(server.pid)
        finally:
            server.terminate()


def measure(*, scale: float = 1.0) -> dict[str, Any]:
    """Return all figures; `scale` below 1 shortens the run. Needs DATABASE_URL and REDIS_URL."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    figures: dict[str, Any] = {}
    with api_process() as (port, server):
        figures["few"] = asyncio.run(
            crowd(port, server, readers=10, tokens=int(600 * scale), rate=60)
        )
        figures["come_and_go"] = asyncio.run(
            come_and_go(port, readers=int(200 * scale), tokens=int(6000 * scale), rate=150)
        )
        figures["reconnect"] = asyncio.run(
            reconnect(port, reconnects=int(10_000 * scale), tokens=600, rate=60)
        )
        figures["thousand"] = asyncio.run(
            crowd(port, server, readers=int(1000 * scale), tokens=int(200 * scale), rate=10)
        )
    return figures


def main() -> None:
    """Start what is needed, in a folder that is gone afterwards, and print the figures."""
    if "DATABASE_URL" in os.environ:
        print(json.dumps(measure(scale=float(os.environ.get("SCALE", "1"))), indent=2))
        return
    from config.local import EmbeddedPostgres, EmbeddedValkey

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up also then
    with tempfile.TemporaryDirectory() as folder:
        postgres, valkey = EmbeddedPostgres(Path(folder)), EmbeddedValkey(Path(folder))
        environment = os.environ | {"LONGRUN_ENV_FILE": os.devnull, "ENVIRONMENT": "local"}
        try:
            environment |= {"DATABASE_URL": postgres.start(), "REDIS_URL": valkey.start()}
            upgrade = "from config.local.migrations import upgrade; upgrade()"
            subprocess.run([sys.executable, "-c", upgrade], env=environment, check=True)
            subprocess.run([sys.executable, "-m", "bench.streams"], env=environment, check=True)
        finally:
            postgres.remove()
            valkey.remove()


if __name__ == "__main__":
    main()
