"""One embedded server: a foreground process on a unix socket, with its data in a folder of ours."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from config.local.orphans import end, kill, working_in

START_TIMEOUT_S = 60.0  # crash recovery after a kill -9 replays the log first
STOP_TIMEOUT_S = 30.0  # a clean stop writes a checkpoint
POLL_S = 0.05
SOCKET_PATH_MAX = 100  # bytes; the kernel takes 107 on Linux and 103 on macOS


class ServerFailed(RuntimeError):
    """An embedded server did not start; the message holds the end of its log."""


class EmbeddedServer(ABC):
    """What Postgres and Valkey have in common. `start` after `kill` finds the data again."""

    name: str
    process_names: frozenset[str]  # of the server and its children, as the kernel knows them
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None  # whom to run as, where that is not the caller

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @property
    @abstractmethod
    def data(self) -> Path:
        """Where its data lies."""

    @property
    def sockets(self) -> Path:
        """The private folder of its unix socket."""
        return socket_folder(self.folder)

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""

    @abstractmethod
    def prepare(self) -> None:
        """Create folders and data where they are missing. Safe to repeat."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether a connection succeeds and a query is answered."""

    @property
    def log(self) -> Path:
        """Where the server's own output goes when `start` has started it."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The running server's process id. Raises ServerFailed when it was not started."""
        if self._process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process that `start` started still lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Start the server and return its URL once a connection has succeeded. Safe to repeat."""
        if self.running:
            return self.url
        self.reap()
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self.user,
                start_new_session=True,  # a Ctrl-C in the terminal is not for the server
                cwd=tempfile.gettempdir(),
            )
        self.wait(timeout_s)
        return self.url

    def wait(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return once the server answers. Raises ServerFailed when it ended or time is up."""
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if self._process is not None and self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended at once: {self.log_end()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} gave no answer in {timeout_s:g} s")
            time.sleep(POLL_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop the server cleanly. Does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the server and its children as kill -9 does; the data is as a crash leaves it."""
        if self._process is None:
            return
        parent = psutil.Process(self._process.pid)
        kill([parent, *parent.children(recursive=True)])
        self._process.wait()
        self._process = None

    def strays(self) -> set[psutil.Process]:
        """Return processes that run on this server's data, whoever has started them."""
        return set(working_in(self.data, self.process_names))

    def reap(self) -> int:
        """End the strays, and return how many there were."""
        return end(self.strays())

    def restart(self) -> None:
        """Stop cleanly and start again on the same data and address."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End the server, also one that somebody else has started, and delete its data."""
        self.stop()
        self.reap()
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def suspend(self) -> None:
        """Freeze the server: connections hang instead of being refused."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        parent = psutil.Process(self.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.send_signal(number)

    def log_end(self, lines: int = 5) -> str:
        """Return the last lines of the server's log, in one line."""
        if not self.log.exists():
            return "(no log)"
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def short_hash(path: Path) -> str:
    """Return what tells one folder from another in places shared by all checkouts."""
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def socket_folder(folder: Path) -> Path:
    """Return a private folder for sockets: inside `folder`, or a short one where that is long."""
    inside = folder / "run"
    if len(os.fsencode(inside)) + len("/.s.PGSQL.5432.lock") <= SOCKET_PATH_MAX:
        run = inside
    else:
        run = Path(tempfile.gettempdir()) / f"longrun-{os.getuid()}-{short_hash(folder)}"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    if run.stat().st_uid != os.getuid():
        raise ServerFailed(f"{run} belongs to somebody else; remove it or set TMPDIR")
    run.chmod(0o700)
    return run
