"""Two hosts on one machine: network namespaces behind a bridge, each of which can be cut off.

The stores, which listen on unix sockets only, are reached through a relay on the bridge's address.
"""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

IP = shutil.which("ip") or ""
NETWORK = "10.213"  # private, with the process's own number behind it


def ip(*words: str) -> None:
    """Run `ip`. Raises CalledProcessError."""
    subprocess.run([IP, *words], check=True, capture_output=True)


def why_not() -> str:
    """Say why this machine has no network namespaces for us; empty if it has."""
    if not (IP and shutil.which("nsenter")):
        return "iproute2 and nsenter are needed for network namespaces"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    name = f"lr{os.getpid()}probe"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
        ip("link", "add", f"lr{os.getpid()}x", "type", "bridge")
        ip("link", "delete", f"lr{os.getpid()}x")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    return ""


class Hosts:
    """A bridge with this machine on it, and hosts that hang on it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Name the hosts; nothing is made before `running`."""
        self.names = names
        self.bridge = f"lr{os.getpid()}br"
        self.subnet = f"{NETWORK}.{os.getpid() % 254 + 1}"
        self.address = f"{self.subnet}.1"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make it all; it is gone afterwards."""
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("address", "add", f"{self.address}/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for number, name in enumerate(self.names, start=2):
                self._add(name, f"{self.subnet}.{number}/24")
            yield
        finally:
            for name in self.names:
                with suppress(subprocess.CalledProcessError):
                    ip("netns", "delete", self._space(name))  # its end of the cable goes with it
            with suppress(subprocess.CalledProcessError):
                ip("link", "delete", self.bridge)

    def inside(self, name: str) -> list[str]:
        """Return the words that make a command run on a host."""
        return ["nsenter", f"--net=/var/run/netns/{self._space(name)}"]

    def cut(self, name: str) -> None:
        """Cut a host off: what it sends goes nowhere, and nobody tells it."""
        ip("link", "set", self._cable(name), "nomaster")

    def mend(self, name: str) -> None:
        """Connect it again."""
        ip("link", "set", self._cable(name), "master", self.bridge)

    def _add(self, name: str, address: str) -> None:
        space, cable = self._space(name), self._cable(name)
        ip("netns", "add", space)
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", cable, "up", "master", self.bridge)
        ip("-n", space, "address", "add", address, "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        ip("-n", space, "link", "set", "lo", "up")

    def _space(self, name: str) -> str:
        return f"lr{os.getpid()}{name}"

    def _cable(self, name: str) -> str:
        return f"lr{os.getpid()}{name}"[:15]  # the kernel's limit for the name of an interface


class Relay:
    """Passes TCP connections on to a unix socket."""

    def __init__(self, address: str, target: Path) -> None:
        """Listen at once, on a free port."""
        self._target = str(target)
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Hang up on everybody."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def pids_of(leader: int) -> set[int]:
    """Return a process and all that it has started."""
    try:
        one = psutil.Process(leader)
        return {leader, *(child.pid for child in one.children(recursive=True))}
    except psutil.NoSuchProcess:
        return set()
