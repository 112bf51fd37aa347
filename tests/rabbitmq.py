"""Debian's RabbitMQ, where it is installed."""

from pathlib import Path

from kombu import Connection

from config.local.orphans import MARKER, end, marked
from config.local.server import EmbeddedServer
from tests.ports import free_port

BINARY = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitMQ(EmbeddedServer):
    """One RabbitMQ on `folder`, on loopback ports of its own."""

    name = "rabbitmq"
    process_names = frozenset({"beam.smp", "rabbitmq-server"})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.distribution_port, self.names_port = (free_port() for _ in range(3))

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def data(self) -> Path:
        """Its state, its log and its cookie."""
        return self.folder / "rabbitmq"

    @property
    def mark(self) -> str:
        """What its processes are known by."""
        return f"rabbitmq-{self.port}"

    @property
    def command(self) -> list[str]:
        """The server in the foreground, sharing nothing with a system's own."""
        environment = {
            "HOME": self.data,
            "RABBITMQ_NODENAME": f"longrun-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": self.distribution_port,
            "RABBITMQ_MNESIA_BASE": self.data,
            "RABBITMQ_LOG_BASE": self.data,
            "RABBITMQ_CONFIG_FILE": self.data / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.data / "no-plugins",
            "ERL_EPMD_PORT": self.names_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            MARKER: self.mark,
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        return ["env", "-C", str(self.data), *given, str(BINARY)]

    def prepare(self) -> None:
        """Create the data folder."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data / "no-plugins").write_text("[].\n")

    def answers(self) -> bool:
        """Say whether it takes a connection."""
        try:
            with Connection(self.url, connect_timeout=2) as opened:
                opened.connect()
        except OSError:
            return False
        return True

    def stop(self, timeout_s: float = 0) -> None:
        """End the server as kill -9 does, and the name server that it has started."""
        self.kill()
        end(marked(self.mark))
