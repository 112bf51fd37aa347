"""Connections to checked addresses only, which end in time.

The address that was checked is the one that is connected to: a name is asked for once per
connection, so one that changes its answer between check and use gains nothing.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from config.addresses import is_allowed
from config.fetch_errors import Refused

NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
WRITE_BYTES = 16 * 1024  # as much as one TLS record; the clock is read in between

Resolver = Callable[[str, int], list[str]]  # (host, port) → addresses; raises socket.gaierror


class GuardedNetwork(httpcore.NetworkBackend):
    """Connects only to allowed addresses; its connections end `timeout_s` after it was made."""

    def __init__(
        self,
        resolver: Resolver,
        dial: httpcore.NetworkBackend,
        *,
        allow_loopback: bool,
        timeout_s: float,
    ) -> None:
        """Look names up with `resolver`, connect with `dial`."""
        self.timeout_s = timeout_s
        self._resolver = resolver
        self._dial = dial
        self._allow_loopback = allow_loopback
        self._deadline = time.monotonic() + timeout_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that answers. Raises Refused, httpcore's."""
        problem: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in self._addresses(host, port):
            try:
                stream = self._dial.connect_tcp(
                    address, port, remaining_s(self._deadline), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return _Stream(stream, self._deadline)
        raise problem or httpcore.ConnectError(f"{host} has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = self._resolver(host, port)
        except (socket.gaierror, UnicodeError) as error:
            if isinstance(error, UnicodeError) or error.errno in NO_SUCH_HOST:
                raise Refused(f"There is no host {host}.", "host") from error
            raise httpcore.ConnectError(f"The name {host} cannot be resolved now") from error
        for address in found:
            if not is_allowed(address, allow_loopback=self._allow_loopback):
                raise Refused(f"{host} is not a public address.", "address")
        return found


class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends at the deadline.

    Without it a server that sends, or takes, a byte now and then holds us for ever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, remaining_s(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            piece = buffer[start : start + WRITE_BYTES]
            self._stream.write(piece, remaining_s(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secure = self._stream.start_tls(ssl_context, server_hostname, remaining_s(self._deadline))
        return _Stream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def remaining_s(deadline: float) -> float:
    """Return the seconds until `deadline`. Raises httpcore.ReadTimeout when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("time is up")
    return left
