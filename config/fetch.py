"""The one guarded client for addresses that users name.

Nothing else in the house opens a connection to a host it was told. Every address a name resolves to
must be public. It is checked where the connection is made, and the checked address is the one that
is connected to, so a name that changes its answer between check and use gains nothing.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import httpcore
import httpx

from config.addresses import is_allowed, resolve
from config.retry_after import retry_after_s
from config.settings import FetchSettings, settings

USER_AGENT = "longrun"
REDIRECTS = (301, 302, 303, 307, 308)
TRANSIENT = (408, 425, 429)  # and everything from 500 on
ENCODINGS = ("", "identity", "gzip", "deflate")  # one layer only: two of them make a bomb
NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

Reason = Literal[
    "address", "credentials", "encoding", "host", "redirects", "scheme", "status", "too_large"
]
Report = Callable[[int, int], None]


class FetchProblem(Exception):
    """A download that did not work out. Messages name the host only: addresses may be signed."""


class Refused(FetchProblem):
    """A download that no repetition will help."""

    def __init__(self, message: str, reason: Reason, status: int | None = None) -> None:
        """Keep the machine-readable reason, and the HTTP status where there was one."""
        super().__init__(message)
        self.reason: Reason = reason
        self.status = status


class Failed(FetchProblem):
    """A download that may work later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep how long the server asked us to wait, if it did."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class GuardedClient:
    """Downloads over HTTP(S) from public addresses, within limits of size, time and hops."""

    def __init__(self, limits: FetchSettings = settings.fetch) -> None:
        """Keep to `limits`."""
        self._limits = limits

    def download(self, url: str, *, progress: Report | None = None) -> bytes:
        """Return the body at `url`, after redirects.

        `progress(done_bytes, total_bytes)` is told about each piece; total 0 when unknown.
        Raises Refused, Failed.
        """
        deadline = time.monotonic() + self._limits.timeout_s
        transport = _Transport(_Network(self._limits.allow_loopback, deadline))
        with httpx.Client(transport=transport, trust_env=False) as client:
            at = _checked_url(url)
            for _ in range(self._limits.max_redirects + 1):
                target = self._get(client, at, progress)
                if isinstance(target, bytes):
                    return target
                at = target
        raise Refused("The address redirects too often.", "redirects")

    def _get(self, client: httpx.Client, at: httpx.URL, report: Report | None) -> bytes | httpx.URL:
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        try:
            with client.stream(
                "GET", at, headers=headers, timeout=self._limits.timeout_s
            ) as answer:
                location = answer.headers.get("location")
                if answer.status_code in REDIRECTS and location:
                    return _checked_url(location, base=at)
                _check_status(answer)
                return self._body(answer, report or _ignore)
        except (httpcore.TimeoutException, httpx.TimeoutException) as error:
            raise Failed(f"{at.host} took longer than {self._limits.timeout_s:g} s.") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError) as error:
            raise Failed(f"The connection to {at.host} failed.") from error

    def _body(self, answer: httpx.Response, report: Report) -> bytes:
        total = _length(answer)
        if total > self._limits.max_bytes:
            raise self._too_large()
        if answer.headers.get("content-encoding", "").strip().lower() not in ENCODINGS:
            raise Refused("The file is compressed in a way we do not read.", "encoding")
        body = bytearray()
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > self._limits.max_bytes:
                raise self._too_large()
            report(len(body), total)
        return bytes(body)

    def _too_large(self) -> Refused:
        return Refused(f"The file is larger than {self._limits.max_bytes} bytes.", "too_large")


def _ignore(done_bytes: int, total_bytes: int) -> None:
    """Take a report that nobody asked for."""


def _length(answer: httpx.Response) -> int:
    value = answer.headers.get("content-length", "")
    return int(value) if value.isdecimal() else 0


def _checked_url(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        parsed = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused("This is not an address.", "host") from error
    if parsed.scheme not in ("http", "https"):
        raise Refused("Only http and https addresses are fetched.", "scheme")
    if parsed.userinfo:
        raise Refused("The address must not hold a user name or a password.", "credentials")
    if not parsed.host:
        raise Refused("The address names no host.", "host")
    return parsed


def _check_status(answer: httpx.Response) -> None:
    status, host = answer.status_code, answer.url.host
    if answer.is_success:
        return
    if status in TRANSIENT or status >= 500:
        wait = retry_after_s(answer.headers.get("retry-after"))
        raise Failed(f"{host} answered with status {status}.", wait)
    raise Refused(f"{host} answered with status {status}.", "status", status)


class _Transport(httpx.BaseTransport):
    """httpx over a connection pool whose network is ours (httpx offers no public way to set it)."""

    def __init__(self, network: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_keepalive_connections=0,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Network(httpcore.NetworkBackend):
    """Connects only to checked addresses, and to nothing after the deadline."""

    def __init__(self, allow_loopback: bool, deadline: float) -> None:
        self._allow_loopback = allow_loopback
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        problem: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in self._addresses(host, port):
            try:
                stream = self._plain.connect_tcp(
                    address, port, remaining_s(self._deadline), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return _Stream(stream, self._deadline)
        raise problem or httpcore.ConnectError(f"{host} has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = resolve(host, port)
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

    Without it a server that sends a byte now and then, in the headers even, holds us for ever.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, remaining_s(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, remaining_s(self._deadline))

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
