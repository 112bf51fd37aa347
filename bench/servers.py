"""Servers of a benchmark's own: a durable Postgres, a Valkey, workers and API processes.

They live in a temporary folder and are gone afterwards. The engine's settings are its defaults.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from config.local import EmbeddedPostgres, EmbeddedValkey

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 90.0  # for a process to be ready, on a busy machine
PREPARE = """
from config.db import transaction
from config.local.migrations import upgrade
from models.accounts import LOCAL_USER_ID, provision_user
upgrade()
with transaction() as session:
    provision_user(session, LOCAL_USER_ID)
"""
POOLS = {"io": "threads", "cpu": "prefork", "stream": "threads"}


_valkey: EmbeddedValkey | None = None


def valkey_server() -> EmbeddedValkey:
    """Return the Valkey of `servers`, for those who stop it or make it hang."""
    assert _valkey is not None
    return _valkey


@contextmanager
def servers() -> Iterator[None]:
    """Start the stores and migrate; `DATABASE_URL` and `REDIS_URL` of this process name them.

    Call it before anything that reads the settings is imported.
    """
    global _valkey
    with tempfile.TemporaryDirectory() as folder:
        postgres, valkey = EmbeddedPostgres(Path(folder)), EmbeddedValkey(Path(folder))
        _valkey = valkey
        try:
            os.environ |= {
                "LONGRUN_ENV_FILE": os.devnull,
                "ENVIRONMENT": "local",
                "LOCAL_DIR": folder,
                "BLOB_URL": f"file://{folder}/blobs",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "DATABASE_URL": postgres.start(),
                "REDIS_URL": valkey.start(),
                "PYTHONPATH": str(ROOT),
            }
            subprocess.run([sys.executable, "-c", PREPARE], cwd=ROOT, check=True)
            yield
        finally:
            postgres.remove()
            valkey.remove()


@contextmanager
def process(command: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m <command>` in a session of its own, until the block ends.

    A variable of `environment` that is empty is not set at all.
    """
    variables = {**os.environ, "REMAP_SIGTERM": "SIGQUIT", **environment}
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT,
            env={name: value for name, value in variables.items() if value},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            started.terminate()
            with suppress(subprocess.TimeoutExpired):
                started.wait(5)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, 9)
            started.wait()


@contextmanager
def worker(
    queue: str, app: str, *, slots: int, pool: str = "", name: str = "", **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a Celery worker of one queue, and wait until it says that it is ready."""
    ready = Path(os.environ["LOCAL_DIR"]) / f"ready-{time.monotonic_ns()}"
    command = (
        f"celery -A {app} worker -Q {queue} -P {pool or POOLS[queue]} -c {slots} "
        f"-n {name or queue}@%h --without-gossip --without-mingle -l WARNING"
    )
    with process(command, BENCH_READY=str(ready), **environment) as started:
        wait_until(lambda: ready.exists() or started.poll() is not None, f"worker {queue}")
        assert started.poll() is None, f"the worker of {queue} has ended"
        yield started


@contextmanager
def web(app: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run one API process; yield its port."""
    port = free_port()
    command = f"uvicorn {app} --port {port} --log-level warning --backlog 4096"
    with process(command) as started:
        wait_until(lambda: accepts(port), app)
        yield port, started


def free_port() -> int:
    """Return a local port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Say whether somebody listens on a local port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_until(happened: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Return once it has happened. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took over {within_s:g} s")
        time.sleep(0.01)
