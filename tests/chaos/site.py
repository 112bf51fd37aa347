"""The platform under chaos: servers, links and processes, all of them ours and on loopback."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import redis
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from config.local import EmbeddedPostgres, EmbeddedValkey
from config.local.orphans import MARKER, end, marked
from tests.chaos import plan
from tests.chaos.proxy import Address, Link
from tests.ports import free_port
from tests.stack import FAST, ROOT

LOOK_EVERY_S = 0.25
BOOT_S = 180.0  # of everything, on a machine that does something else, too
POOLS = {"io": "-P threads -c 6", "cpu": "-P prefork -c 2", "stream": "-P threads -c 6"}
WORKER = (
    "celery -A tests.worker worker -Q {queue} {pool} -n {name}@%h "
    "--without-gossip --without-mingle -l INFO"
)
BEAT = "celery -A tests.worker beat -S tasks.schedules:PostgresScheduler --pidfile="
WEB = "uvicorn tests.web:app --port {port} --timeout-graceful-shutdown 2"
IMPATIENCE = {  # so that what hangs is noticed within a fault's time, not a day's
    "DATABASE_CONNECT_TIMEOUT_S": "3",
    "LLM_CONNECT_TIMEOUT_S": "3",
    "LLM_TIMEOUT_S": "8",
    "ENGINE_IDLE_S": "60",
}


class Site:
    """Starts everything, breaks it when it is told to, and puts it right again."""

    def __init__(
        self, folder: Path, names: Sequence[str], servers: dict[str, Address], **settings: str
    ) -> None:
        self.folder, self.names = folder, names
        self.postgres = EmbeddedPostgres(folder, durable=False)
        self.valkey = EmbeddedValkey(folder)
        self.servers = servers | {
            "postgres": str(self.postgres.sockets / ".s.PGSQL.5432"),
            "redis": str(self.valkey.socket),
        }
        self.settings = settings
        self.database = str(make_url(os.environ["DATABASE_URL"]).database)
        self.links: dict[str, Link] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0
        self.frozen: set[int] = set()
        self._servers_away = asyncio.Lock()  # one of them at a time is stopped or frozen
        self._keeping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients reach the API, through its link."""
        return f"http://127.0.0.1:{self.links['client-web'].port}"

    async def open(self) -> None:
        """Open the links; start the processes and keep them running."""
        self.web_port = free_port()
        self.servers["web"] = ("127.0.0.1", self.web_port)
        for name in plan.links():
            client, _, server = name.rpartition("-")
            if client in (*self.names, *plan.EVERYBODY):
                self.links[name] = Link(name, self.servers[server])
                await self.links[name].open()
        for name in self.names:
            self._start(name)
        self._keeping = asyncio.create_task(self._keep_running())

    def _environment(self, name: str) -> dict[str, str]:
        own = dict(os.environ) | FAST | IMPATIENCE | self.settings
        own |= {"REMAP_SIGTERM": "SIGQUIT", "PYTHONPATH": str(ROOT), MARKER: str(self.folder)}
        postgres = self.links[f"{name}-postgres"].port
        options = "sslmode=disable&gssencmode=disable"
        own["DATABASE_URL"] = (
            f"postgresql://postgres@127.0.0.1:{postgres}/{self.database}?{options}"
        )
        link = self.links.get(f"{name}-redis")
        own["REDIS_URL"] = f"redis://127.0.0.1:{link.port}/0" if link else self.valkey.url
        if models := self.links.get(f"{name}-models"):
            own["LLM_API_BASE"] = f"http://127.0.0.1:{models.port}/v1"
        return own

    def _start(self, name: str) -> None:
        kind = name.partition("-")[0]
        command = {"web": WEB.format(port=self.web_port), "beat": BEAT}.get(kind) or WORKER.format(
            queue=kind, pool=POOLS[kind], name=name
        )
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=self.folder if kind == "beat" else ROOT,
                env=self._environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started += 1

    async def _keep_running(self) -> None:
        """Start again what has ended, as a supervisor does."""
        while True:
            for name, process in self.running.items():
                if process.poll() is not None:
                    _kill_family(process)
                    self._start(name)
            await asyncio.sleep(LOOK_EVERY_S)

    # -- faults; each returns when it is over

    async def suffer(self, fault: plan.Fault) -> None:
        """Let a fault happen."""
        lasts_s = fault.lasts_s
        if fault.kind in ("kill worker", "kill api", "kill beat"):
            _kill_family(self.running[fault.target])
        elif fault.kind == "kill child":
            self._kill_child(self.running[fault.target].pid)
        elif fault.kind == "freeze process":
            await self._freeze(lasts_s, self.running[fault.target].pid)
        elif fault.target in ("postgres", "redis"):
            async with self._servers_away:
                await self._server_fault(fault.kind, lasts_s)
        else:
            await self.links[fault.target].disturb(fault.kind, lasts_s)

    def _kill_child(self, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(pid).children()[:1]:
                child.kill()

    async def _server_fault(self, kind: str, lasts_s: float) -> None:
        if kind == "restart postgres":
            os.kill(self.postgres.pid, signal.SIGQUIT)  # "immediate": as if it had crashed
            await asyncio.to_thread(self.postgres.stop)
            await asyncio.sleep(lasts_s)
            await asyncio.to_thread(self.postgres.start)
        elif kind == "freeze postgres":
            children = psutil.Process(self.postgres.pid).children(recursive=True)
            await self._freeze(lasts_s, self.postgres.pid, *(one.pid for one in children))
        elif kind == "freeze redis":
            await self._freeze(lasts_s, self.valkey.pid)
        elif kind == "restart redis":
            await asyncio.to_thread(self.valkey.kill)
            await asyncio.sleep(lasts_s)
            await asyncio.to_thread(self.valkey.start)
        elif kind == "flush redis":
            await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()

    async def _freeze(self, lasts_s: float, *pids: int) -> None:
        try:
            for one in pids:
                _signal(one, signal.SIGSTOP)
                self.frozen.add(one)
            await asyncio.sleep(lasts_s)
        finally:
            for one in pids:
                _signal(one, signal.SIGCONT)
                self.frozen.discard(one)

    # -- the end

    async def close(self) -> None:
        """End everything, whatever state it is in."""
        if self._keeping is not None:
            self._keeping.cancel()
        for pid in self.frozen:
            _signal(pid, signal.SIGCONT)
        for process in self.running.values():
            _kill_family(process)
        end(marked(str(self.folder)))
        for link in self.links.values():
            await link.close()
        self.valkey.stop()
        self.postgres.stop()


def _kill_family(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal(pid: int, which: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, which)


async def until(happened: Callable[[], object], within_s: float, what: str) -> None:
    """Wait, without holding up the loop, until something has happened."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(_does, happened):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within_s:g} s")
        await asyncio.sleep(LOOK_EVERY_S)


def _does(happened: Callable[[], object]) -> bool:
    """Say whether it has; while Postgres is away nobody knows."""
    try:
        return bool(happened())
    except SQLAlchemyError:
        return False
