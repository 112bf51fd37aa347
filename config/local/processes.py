"""The Procfile's processes under supervisord: its configuration, its start, its end.

supervisord and not a Procfile runner, because it restarts one process instead of stopping all,
and stops the leader only: a worker's children end with their task, not in the midst of it.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xmlrpc.client import ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from config.local.orphans import MARKER
from config.local.server import EmbeddedServer, socket_folder

STOP_GRACE_S = 45  # longer than ENGINE_LEAVE_S and than uvicorn's
STORE_STOP_GRACE_S = 60  # Postgres writes a checkpoint
STEADY_S = 5  # a process that ends sooner is restarted with backoff: 1 s, 2 s, 3 s, ...
RESTARTS = 100  # of one that never gets steady, before it is given up: over an hour
LOG_BYTES = "10MB"  # per process, and three older ones
FAILED_STATES = ("BACKOFF", "FATAL", "EXITED")

SUPERVISORD = """\
[supervisord]
nodaemon = true
silent = true
{user}
directory = {directory}
logfile = {logs}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {logs}

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """
[program:{name}]
command = {command}
directory = {directory}
{extra}
autorestart = true
startsecs = {steady}
startretries = {restarts}
stopsignal = {signal}
stopwaitsecs = {grace}
stopasgroup = false
killasgroup = false
redirect_stderr = true
stdout_logfile = {logs}/{name}.log
stdout_logfile_maxbytes = {log_bytes}
stdout_logfile_backups = 3
"""


class Failed(NamedTuple):
    """A process that ended though it should not have, and the last line it wrote."""

    name: str
    last_line: str


def parse_procfile(text: str) -> dict[str, str]:
    """Return the commands of a Procfile by process name, in order."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {name.strip(): command.strip() for name, _, command in pairs}


class Processes:
    """What one supervisord runs: the embedded servers at once, the Procfile's processes on demand.

    `folder` is the stack's own (`.longrun`); `directory` holds the Procfile, whose processes
    start there.
    """

    def __init__(self, folder: Path, directory: Path, stores: Sequence[EmbeddedServer]) -> None:
        self.folder, self.directory, self.stores = folder, directory, stores
        self.commands = parse_procfile((directory / "Procfile").read_text())
        self.socket = socket_folder(folder) / "supervisor.sock"
        self.logs = folder / "logs"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> str:
        """The text of supervisord.conf. Groups stop in reverse order."""
        header = SUPERVISORD.format(
            user="user = root" if os.geteuid() == 0 else "",  # else it warns that it is root
            directory=_escaped(self.directory),
            logs=_escaped(self.logs),
            folder=_escaped(self.folder),
            socket=_escaped(self.socket),
        )
        parts = [header, *map(self._store, self.stores)]
        parts += [self._program(name, command) for name, command in self.commands.items()]
        parts += [f"\n[group:longrun]\nprograms = {','.join(self.commands)}\npriority = 999\n"]
        return "".join(parts)

    def start(self, environment: Mapping[str, str]) -> None:
        """Start supervisord and the embedded servers; its processes see `environment`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        file = self.folder / "supervisord.conf"
        file.write_text(self.configuration)
        self.socket.unlink(missing_ok=True)
        with (self.logs / "supervisord.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)],
                env={**environment, MARKER: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C reaches the stack, which stops this in order
            )

    def start_commands(self) -> None:
        """Start the Procfile's processes, without waiting for them."""
        self._call("startProcessGroup", "longrun", False)

    def failed(self) -> Failed | None:
        """Return a process that has ended by itself and waits to be started again, if one has."""
        for state in self._call("getAllProcessInfo"):
            if state["statename"] in FAILED_STATES:
                return Failed(state["name"], self._last_line(state["name"]))
        return None

    @property
    def listens(self) -> bool:
        """Whether supervisord takes orders."""
        try:
            return bool(self._call("getState"))
        except OSError:
            return False

    @property
    def alive(self) -> bool:
        """Whether supervisord runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop everything in order: the Procfile's processes, then the embedded servers."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):  # what is deaf is ended by the stack
            self._process.wait(STOP_GRACE_S + STORE_STOP_GRACE_S)

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _store(self, store: EmbeddedServer) -> str:
        unmarked = f'environment = {MARKER}=""'  # they end after those who use them
        extra = [unmarked, "priority = 1", f"user = {store.user}" if store.user else ""]
        return PROGRAM.format(
            name=store.name,
            command=_escaped(shlex.join(store.command)),
            directory="/",  # the user it runs as may not enter ours
            extra="\n".join(filter(None, extra)),
            signal=store.stop_signal.name.removeprefix("SIG"),
            grace=STORE_STOP_GRACE_S,
            **self._common,
        )

    def _program(self, name: str, command: str) -> str:
        return PROGRAM.format(
            name=name,
            command=_escaped(shlex.join(["/bin/sh", "-c", f"exec {command}"])),
            directory=_escaped(self.directory),
            extra="autostart = false",  # not before the migrations
            signal="TERM",
            grace=STOP_GRACE_S,
            **self._common,
        )

    @property
    def _common(self) -> dict[str, object]:
        logs = _escaped(self.logs)
        return {"logs": logs, "steady": STEADY_S, "restarts": RESTARTS, "log_bytes": LOG_BYTES}

    def _last_line(self, name: str) -> str:
        file = self.logs / f"{name}.log"
        lines = file.read_text(errors="replace").split("\n") if file.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "(no output)")


def _escaped(value: object) -> str:
    """Return a value as supervisord's configuration wants it: it expands `%(...)s`."""
    return str(value).replace("%", "%%")
