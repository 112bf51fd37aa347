"""The whole embedded stack: what is checked before, started in order, and stopped in order."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from config.local.lock import FolderLock, Running
from config.local.orphans import end, kill, marked
from config.local.postgres import EmbeddedPostgres
from config.local.processes import Processes
from config.local.server import EmbeddedServer
from config.local.valkey import EmbeddedValkey
from config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NEEDED_BYTES = 512 * 1024 * 1024  # a cluster, its write-ahead log, and a few books
STORES_READY_S = 60.0  # crash recovery may come first
READY_S = 180.0  # on a slow machine with a cold disk; seconds on most
POLL_S = 0.2


class CannotStart(Exception):
    """The stack cannot start; the message says what to do about it."""


class Stack:
    """The embedded servers that are needed, and the processes of the Procfile in `root`."""

    def __init__(self, settings: Settings, *, root: Path = ROOT) -> None:
        """Describe the stack of `settings`; nothing is touched before `start`."""
        self.settings = settings
        self.root = root.absolute()
        self.folder = self.root / settings.local.dir
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = FolderLock(self.folder / "stack.lock")
        self.postgres = EmbeddedPostgres(self.folder)
        self.valkey = EmbeddedValkey(self.folder)
        wanted = {self.postgres: settings.database.url, self.valkey: settings.redis.url}
        self.stores: list[EmbeddedServer] = [store for store, url in wanted.items() if not url]
        self.processes = Processes(self.folder, self.root, self.stores)

    @property
    def running(self) -> Running:
        """What the lock tells others."""
        web, flower = self.settings.web, self.settings.flower
        return Running(
            pid=os.getpid(),
            url=f"http://{web.host}:{web.port}",
            flower_url=f"http://{flower.host}:{flower.port}",
        )

    @property
    def trusting(self) -> bool:
        """Whether callers are believed to be who they say; locally so, unless set otherwise."""
        said = "trust_gateway" in self.settings.model_fields_set
        return self.settings.trust_gateway if said else True

    @property
    def environment(self) -> dict[str, str]:
        """What the processes see: the caller's environment, and what the Procfile counts on."""
        configured = self.settings
        said = "environment" in configured.model_fields_set
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return os.environ | {
            "DATABASE_URL": configured.database.url or self.postgres.url,
            "REDIS_URL": configured.redis.url or self.valkey.url,
            "ENVIRONMENT": configured.environment if said else "local",
            "TRUST_GATEWAY": str(self.trusting).lower(),
            "LOCAL_DIR": str(self.folder),
            "WEB_HOST": configured.web.host,
            "WEB_PORT": str(configured.web.port),
            "WORKER_IO_SLOTS": str(configured.worker.io_slots),
            "WORKER_CPU_SLOTS": str(configured.worker.cpu_slots),
            "WORKER_STREAM_SLOTS": str(configured.worker.stream_slots),
            "PYTHONPATH": str(ROOT),  # Flower reads its options from ours
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its price list, not one from the network
            "PATH": path,
        }

    def start(self) -> None:
        """Start everything and return when it is ready. Raises CannotStart, ServerFailed.

        The caller holds the lock, and stops the stack also when this raises.
        """
        self._check_room()
        self._check_addresses()
        self.reap()
        self._check_ports()
        for store in self.stores:
            store.prepare()
        self.processes.start(self.environment)
        self._wait(lambda: self.processes.listens, STORES_READY_S)
        self._wait(lambda: all(store.answers() for store in self.stores), STORES_READY_S)
        self._migrate()
        self.processes.start_commands()
        self._wait(self.ready, READY_S)

    def stop(self) -> None:
        """Stop everything in order, and end what does not obey."""
        self.processes.stop()
        self.reap()

    def kill(self) -> None:
        """End everything as kill -9 does. What was committed stays."""
        kill(marked(str(self.folder)))
        for store in (self.postgres, self.valkey):
            kill(store.strays())

    def reap(self) -> int:
        """End what a supervisor that was killed has left behind; return how many processes."""
        stores: list[EmbeddedServer] = [self.postgres, self.valkey]  # after those who use them
        return end(marked(str(self.folder))) + sum(store.reap() for store in stores)

    def ready(self) -> bool:
        """Say whether the API takes jobs and workers run them."""
        try:
            with urlopen(f"{self.running.url}/ready", timeout=2) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < NEEDED_BYTES:
            needed = NEEDED_BYTES // 2**20
            raise CannotStart(f"{self.folder}: {free // 2**20} MB left on the disk; free {needed}.")

    def _check_addresses(self) -> None:
        web, flower = self.settings.web, self.settings.flower
        if self.trusting and not _is_loopback(web.host):
            raise CannotStart(
                f"WEB_HOST={web.host} would let in callers whom nobody checks: "
                "unset it, or set TRUST_GATEWAY=false and ENVIRONMENT=production."
            )
        if not flower.password.get_secret_value() and not _is_loopback(flower.host):
            raise CannotStart(f"FLOWER_HOST={flower.host} needs a FLOWER_PASSWORD, or unset it.")

    def _check_ports(self) -> None:
        web, flower = self.settings.web, self.settings.flower
        for name, address in (("WEB", web), ("FLOWER", flower)):
            if not _is_free(address.host, address.port):
                raise CannotStart(
                    f"Port {address.port} of {address.host} is taken; choose another one: "
                    f"{name}_PORT={address.port + 1} in the environment or in .env."
                )

    def _migrate(self) -> None:
        log = self.processes.logs / "migrate.log"
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", "config.local", "migrate"],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise CannotStart(f"The schema could not be brought up to date; see {log}.")

    def _wait(self, happened: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not happened():
            with suppress(OSError):  # it does not listen yet
                if failed := self.processes.failed():
                    log = self.processes.logs / f"{failed.name}.log"
                    raise CannotStart(f"{failed.name} ended: {failed.last_line} (see {log})")
            if not self.processes.alive or time.monotonic() > deadline:
                raise CannotStart(f"The stack did not get ready; see {self.processes.logs}.")
            time.sleep(POLL_S)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
