"""An internet of our own: names that answer as told, and a network whose addresses lead here."""

import socket
from collections.abc import Iterable
from ipaddress import IPv6Address

import httpcore


class Names:
    """A resolver. Each name has its answers, one per question; the last one stays.

    Numbers are read as generously as the C library does; other names do not exist.
    """

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {f"{name}.example": list(told) for name, told in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        told = self.answers.get(host)
        if told is not None:
            return told.pop(0) if len(told) > 1 else told[0]
        return [_number(host)]


def _number(host: str) -> str:
    try:
        return str(IPv6Address(host)) if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None


class Internet(httpcore.NetworkBackend):
    """A network on which the addresses of `sites` are ports of this machine; others are silent."""

    def __init__(self, sites: dict[str, int] | None = None) -> None:
        self.sites = sites or {}
        self.dialled: list[str] = []
        self._loopback = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.dialled.append(host)
        if host not in self.sites:
            raise httpcore.ConnectError(f"nobody at {host}")
        return self._loopback.connect_tcp(
            "127.0.0.1", self.sites[host], timeout, local_address, socket_options
        )
