"""Real workers and a real API server for tests, with the engine's clock turned up."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
from sqlalchemy import make_url, text

from config.db import connection, engine, transaction
from models.accounts import provision_user
from models.jobs import nodes
from models.jobs.queries import describe, get_job
from models.jobs.tables import TERMINAL
from tasks import publisher
from tests import pipelines
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
FAST = {
    "ENGINE_BEAT_S": "0.5",
    "ENGINE_DEAD_AFTER_S": "4",
    "ENGINE_DISPATCH_S": "0.2",
    "ENGINE_UNCLAIMED_S": "1.5",
    "ENGINE_RESTART_GRACE_S": "1",
    "ENGINE_RETRY_BASE_S": "0.1",
    "ENGINE_CHANGED_AFTER_S": "1",
    "ENGINE_PRELOAD": "false",
    "STREAM_COMPACT_S": "0.3",
    "STREAM_SILENCE_S": "0.3",
}
STARTS_S = (
    120  # a process needs 2 to 4 s of processor time; on a loaded machine that takes a minute
)
POOLS = {"io": ("threads", 4), "cpu": ("prefork", 2), "stream": ("threads", 4)}


def fresh_database() -> None:
    """Put an empty, migrated database where `DATABASE_URL` points."""
    url = make_url(os.environ["DATABASE_URL"])
    server = url.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)')
        conn.execute(f'CREATE DATABASE "{url.database}" TEMPLATE "{url.database}_template"')
    engine().dispose()  # of what the publisher's thread has opened since the last stack ended
    publisher.forget_room()


class Stack:
    """Workers, and perhaps an API server, as processes of their own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.failpoints = folder / "failpoints"
        self.failpoints.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            **FAST,
            **environment,
            "LONGRUN_FAILPOINTS": str(self.failpoints),
            "REMAP_SIGTERM": "SIGQUIT",
            "PYTHONPATH": str(ROOT),
        }
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.web: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start_worker(
        self,
        queue: str,
        module: str = "tests.worker",
        name: str = "",
        inside: Sequence[str] = (),
        **environment: str,
    ) -> None:
        pool, slots = POOLS[queue]
        name = name or queue
        self.workers[name] = self._spawn(
            f"worker-{name}",
            f"celery -A {module} worker -Q {queue} -P {pool} -c {slots} -n {name}@%h "
            "--without-gossip --without-mingle -l INFO",
            environment,
            inside,
        )

    def start_workers(self, *queues: str, module: str = "tests.worker") -> None:
        """Start a worker for each queue, of all queues if none is named."""
        wanted = set(queues or POOLS)
        for queue in sorted(wanted):
            self.start_worker(queue, module)
        wait_for(lambda: live_queues() >= wanted, STARTS_S)

    def start_web(self, module: str = "tests.web") -> str:
        self.port = free_port()
        self.web = self._spawn(
            "web",
            f"uvicorn {module}:app --port {self.port} --timeout-graceful-shutdown 2",
            {},
        )
        url = f"http://127.0.0.1:{self.port}"
        wait_for(lambda: answers(f"{url}/health"), STARTS_S)
        return url

    def _spawn(
        self,
        name: str,
        command: str,
        environment: dict[str, str],
        inside: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        variables = {**self.environment, **environment}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*inside, sys.executable, "-m", *command.split()],
                cwd=ROOT,
                env={name: value for name, value in variables.items() if value},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def arm(self, failpoint: str, victim: str) -> None:
        (self.failpoints / failpoint).write_text(victim)

    def armed(self) -> list[str]:
        return [path.name for path in self.failpoints.iterdir()]

    def revive(self) -> None:
        """Start again what has died."""
        for queue, worker in list(self.workers.items()):
            if worker.poll() is not None:
                kill_family(worker)
                self.start_worker(queue)

    def dismiss(self, name: str) -> None:
        """End a worker for good."""
        kill_family(self.workers.pop(name))

    def kill(self, queue: str) -> None:
        kill_family(self.workers[queue])

    def stop(self) -> None:
        running = [*self.workers.values(), *([self.web] if self.web else [])]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            kill_family(process)


@contextlib.contextmanager
def stack_of(folder: Path, *queues: str, **environment: str) -> Iterator[Stack]:
    """Workers on a database of their own, for as long as the context lasts."""
    fresh_database()
    prepare_owner()
    running = Stack(folder, **environment)
    try:
        running.start_workers(*queues)
        yield running
    finally:
        running.stop()
        engine().dispose()


@contextlib.contextmanager
def client_of(running: Stack, *, timeout_s: float = 90) -> Iterator[httpx.Client]:
    """A client of the stack's API server, which is started."""
    with httpx.Client(base_url=running.start_web(), timeout=timeout_s) as opened:
        yield opened


def kill_family(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def live_queues() -> set[str]:
    with connection() as conn:
        return set(nodes.slots(nodes.live_nodes(conn, within_s=2)))


def wait_for(happened: Callable[[], Any], within_s: float, between: Any = None) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := happened():
            return found
        if between is not None:
            between()
        time.sleep(0.05)
    raise AssertionError(f"{happened} did not happen within {within_s} s")


def prepare_owner() -> None:
    with transaction() as session:
        provision_user(session, pipelines.OWNER)
        session.connection().execute(text(pipelines.EFFECTS))


def start(pipeline: Any, numbers: Any = None, **options: Any) -> UUID:
    with transaction() as session:
        job = pipeline.start(
            session, numbers or pipelines.Numbers(), owner=pipelines.OWNER, **options
        )
        return UUID(str(job.id))


def read(job_id: UUID) -> Any:
    with transaction() as session:
        return describe(session, get_job(session, job_id, owner=pipelines.OWNER))


def ended(job_id: UUID, within_s: float = 30, between: Any = None) -> Any:
    def terminal() -> Any:
        job = read(job_id)
        return job if job.status in TERMINAL else None

    return wait_for(terminal, within_s, between)


def effects(job_id: UUID) -> list[str]:
    """The names of what a job has committed, in no order; each at most once by the table's law."""
    with connection() as conn:
        rows = conn.execute(text("SELECT name FROM test_effect WHERE job_id = :j"), {"j": job_id})
        return sorted(rows.scalars())
