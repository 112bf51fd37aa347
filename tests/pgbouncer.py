"""Debian's PgBouncer, where it is installed, in transaction mode before one of our Postgres."""

import shutil
import tempfile
from pathlib import Path

import psycopg

from config.local import EmbeddedPostgres
from config.local.server import EmbeddedServer
from tests.ports import free_port

BINARY = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
POOL_SIZE = 3  # few enough that clients do get each other's connections
CONFIGURATION = """
[databases]
* = host={host} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
"""


class PgBouncer(EmbeddedServer):
    """One PgBouncer on a loopback port of its own."""

    name = "pgbouncer"
    process_names = frozenset({"pgbouncer"})

    def __init__(self, folder: Path, postgres: EmbeddedPostgres) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.user = postgres.user  # it refuses to be root, and has to reach the server's socket
        self.host = postgres.sockets

    @property
    def url(self) -> str:
        """Where clients connect; the name of the database is still to be appended."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Its configuration, where also the user may read whom it runs as."""
        return Path(tempfile.gettempdir()) / f"longrun-pgbouncer-{self.port}"

    @property
    def command(self) -> list[str]:
        """The pooler in the foreground."""
        return [str(BINARY), str(self.data / "pgbouncer.ini")]

    def prepare(self) -> None:
        """Write its configuration."""
        self.data.mkdir(mode=0o755)
        text = CONFIGURATION.format(host=self.host, port=self.port, pool_size=POOL_SIZE)
        (self.data / "pgbouncer.ini").write_text(text)

    def answers(self) -> bool:
        """Say whether a query comes back."""
        try:
            psycopg.connect(f"{self.url}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
