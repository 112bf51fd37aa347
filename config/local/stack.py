"""The whole embedded stack: one at a time per folder, started in order, stopped in order."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from config.local.orphans import reap
from config.local.postgres import EmbeddedPostgres
from config.local.processes import Processes, parse_procfile
from config.local.server import EmbeddedServer, ServerFailed
from config.local.valkey import EmbeddedValkey
from config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NEEDED_BYTES = 512 * 1024 * 1024  # a cluster, its write-ahead log, and a few books
STORES_READY_S = 60.0  # crash recovery may come first
READY_S = 120.0  # on a slow machine; seconds on most


class CannotStart(Exception):
    """The stack cannot start; the message says what to do about it."""


class Stack:
    """The embedded servers that are needed, and the Procfile's processes."""

    def __init__(self, settings: Settings, *, root: Path = ROOT) -> None:
        """Describe the stack of `settings`; nothing is touched before `start`."""
        self.settings = settings
        self.folder = (root / settings.local.dir).absolute()
        self.postgres = EmbeddedPostgres(self.folder)
        self.valkey = EmbeddedValkey(self.folder)
        self.stores: list[EmbeddedServer] = []
        if not settings.database.url:
            self.stores.append(self.postgres)
        if not settings.redis.url:
            self.stores.append(self.valkey)
        self.processes = Processes(
            folder=self.folder,
            directory=root,
            commands=parse_procfile((root / "Procfile").read_text()),
            stores=self.stores,
            socket=self.valkey.sockets / "supervisor.sock",
        )
        self.lock_file = self.folder / "stack.pid"
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{self.settings.web.host}:{self.settings.web.port}"

    @property
    def flower_url(self) -> str:
        """Where Flower answers."""
        return f"http://{self.settings.flower.host}:{self.settings.flower.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the processes see."""
        given = {
            "DATABASE_URL": self.settings.database.url or self.postgres.url,
            "REDIS_URL": self.settings.redis.url or self.valkey.url,
            "ENVIRONMENT": "local",
            "TRUST_GATEWAY": "true",
            "LOCAL_DIR": str(self.folder),
            "WEB_HOST": self.settings.web.host,
            "WEB_PORT": str(self.settings.web.port),
            "REMAP_SIGTERM": "SIGQUIT",  # a worker's soft shutdown
            "PYTHONPATH": str(self.processes.directory),  # Flower reads its options from ours
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        return {**os.environ, **given}

    def running_pid(self) -> int | None:
        """Return the process id of the running stack's supervisor, or None."""
        if self._take_lock():
            self._drop_lock()
            return None
        with suppress(OSError, ValueError):
            return int(self.lock_file.read_text())
        return None

    def start(self) -> None:
        """Start everything and return when it is ready. Raises CannotStart."""
        self._check_room()
        if not self._take_lock():
            raise CannotStart(f"The stack of this folder is running already: {self.url}/docs")
        self._reap()
        self._check_ports()
        self.valkey.prepare()  # the folder of its socket is the supervisor's too
        for store in self.stores:
            store.prepare()
        self.processes.start(self.environment)
        self._wait(lambda: all(store.answers() for store in self.stores), STORES_READY_S)
        self._migrate()
        self.processes.start_commands()
        self._wait(self.ready, READY_S)

    def stop(self) -> None:
        """Stop everything in order."""
        self.processes.stop()
        self._reap()
        self._drop_lock()

    def ready(self) -> bool:
        """Say whether the API takes jobs and workers run them."""
        try:
            with urlopen(f"{self.url}/ready", timeout=2) as answer:  # noqa: S310 — our own address
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _check_room(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < NEEDED_BYTES:
            raise CannotStart(
                f"{self.folder} has {free // 2**20} MB left; free at least {NEEDED_BYTES // 2**20}."
            )

    def _check_ports(self) -> None:
        for name, host, port in (
            ("WEB_PORT", self.settings.web.host, self.settings.web.port),
            ("FLOWER_PORT", self.settings.flower.host, self.settings.flower.port),
        ):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    self._drop_lock()
                    raise CannotStart(
                        f"Port {port} on {host} is taken; choose another one: {name}={port + 1}"
                    ) from error

    def _take_lock(self) -> bool:
        """Take the folder's lock; the kernel frees it however this process ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        self._lock = handle
        return True

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _reap(self) -> None:
        """End what a supervisor that was killed has left behind."""
        reap(str(self.folder))
        for store in self.stores:
            reap(store.marker)

    def _migrate(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "config.local", "migrate"],
            env=self.environment,
            cwd=self.processes.directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.stop()
            raise CannotStart(f"The schema could not be brought up to date: {done.stderr[-600:]}")

    def _wait(self, happened: "object", within_s: float) -> None:
        assert callable(happened)
        deadline = time.monotonic() + within_s
        while not happened():
            if not self.processes.alive or time.monotonic() > deadline:
                told = self._why()
                self.stop()
                raise CannotStart(told)
            time.sleep(0.1)

    def _why(self) -> str:
        with suppress(OSError):
            ended = "; ".join(f"{one.name}: {one.last_line}" for one in self.processes.ended())
            if ended:
                return f"Something ended: {ended}. See {self.processes.logs}"
        return f"The stack did not get ready; see {self.processes.logs}"


def up(stack: Stack) -> int:
    """Run the stack until Ctrl-C or SIGTERM, then stop all of it."""
    asked = threading.Event()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, lambda *_: asked.set())
    pid = stack.running_pid()
    if pid is not None:
        say(f"Longrun is running already (pid {pid}): {stack.url}/docs")
        return 0
    began = time.monotonic()
    try:
        stack.start()
    except (CannotStart, ServerFailed) as error:
        say(str(error))
        return 1
    say(f"Ready after {time.monotonic() - began:.1f} s. One Ctrl-C stops all of it.")
    say(f"  API docs  {stack.url}/docs\n  Flower    {stack.flower_url}")
    while not asked.wait(0.5) and stack.processes.alive:
        pass
    say("Stopping …")
    stack.stop()
    return 0


def detach(stack: Stack) -> int:
    """Start the stack in the background, unless it runs, and return when it is ready."""
    if stack.running_pid() is not None:
        return 0
    log = stack.folder / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "config.local", "up"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while child.poll() is None:
        if "Ready after" in log.read_text():
            return 0
        time.sleep(0.2)
    say(log.read_text().strip())
    return child.returncode or 1


def down(stack: Stack) -> int:
    """Stop the running stack, wherever it was started."""
    pid = stack.running_pid()
    if pid is None:
        stack._reap()
        say("Nothing was running.")
        return 0
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    while stack.running_pid() is not None:
        time.sleep(0.2)
    say("Stopped.")
    return 0


def say(line: str) -> None:
    """Print for the person at the terminal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
