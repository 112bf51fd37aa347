"""A folder where the embedded stack runs, with two small processes instead of the Procfile's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from config.local import EmbeddedPostgres, EmbeddedValkey
from config.local.lock import FolderLock
from config.local.orphans import marked
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 60.0
PROCFILE = """\
# two stand-ins
web: python web.py ${WEB_PORT:-1}
worker: python worker.py "a % sign"
"""
WEB = """\
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 404)
        self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
WORKER = """\
import os, pathlib, signal, sys
pathlib.Path("seen").write_text(
    "\\n".join([sys.argv[1], *(os.environ.get(n, "-") for n in ("ENVIRONMENT", "TRUST_GATEWAY"))])
)
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path("drained").touch(), sys.exit(0)))
signal.pause()
"""


class Checkout:
    """A folder with a Procfile, and the commands given in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".longrun"
        self.ports = {"WEB_PORT": free_port(), "FLOWER_PORT": free_port()}
        (root / "Procfile").write_text(PROCFILE)
        (root / "web.py").write_text(WEB)
        (root / "worker.py").write_text(WORKER)
        self.postgres = EmbeddedPostgres(self.folder)
        self.valkey = EmbeddedValkey(self.folder)
        self.started: list[subprocess.Popen[str]] = []

    def start(self, command: str, **environment: str) -> subprocess.Popen[str]:
        of_tests = {"DATABASE_URL", "REDIS_URL", "LOCAL_DIR"}
        env = {name: value for name, value in os.environ.items() if name not in of_tests}
        process = subprocess.Popen(
            [sys.executable, "-m", "config.local", command, "--root", str(self.root)],
            cwd=ROOT,
            env=env | {name: str(port) for name, port in self.ports.items()} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, command: str, **environment: str) -> tuple[int, str]:
        process = self.start(command, **environment)
        said, _ = process.communicate(timeout=WAIT_S)
        return process.returncode, said

    def up(self) -> subprocess.Popen[str]:
        process = self.start("up")
        wait_for(lambda: self.ready or process.poll() is not None)
        assert self.ready, process.communicate()[0]
        return process

    @property
    def ready(self) -> bool:
        holder = FolderLock(self.folder / "stack.lock").holder()
        return holder is not None and holder.ready

    def running(self) -> set[psutil.Process]:
        of_stack = set(marked(str(self.folder)))
        return of_stack | self.postgres.strays() | self.valkey.strays()

    def called(self, part: str) -> psutil.Process:
        return next(p for p in self.running() if any(part in word for word in p.cmdline()))

    def remove(self) -> None:
        for started in self.started:
            with started:
                started.kill()
        for process in self.running():
            process.kill()
        self.postgres.remove()
        self.valkey.remove()


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    process.send_signal(number)
    return process.communicate(timeout=WAIT_S)[0]
