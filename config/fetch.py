"""The one guarded client for addresses that users name: files, webhooks, providers of their own.

Nothing else in the house opens a connection to a host it was told. Every address a name resolves to
must be public. It is checked where the connection is made, for each hop anew. Nothing of ours
travels from one hop to the next: no header, no cookie, no referrer.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Literal

import httpcore
import httpx

from config.addresses import resolve
from config.fetch_errors import Failed, FetchProblem, Reason, Refused
from config.guarded_network import GuardedNetwork, Resolver
from config.retry_after import retry_after_s
from config.settings import FetchSettings, settings

__all__ = ["Answer", "Failed", "FetchProblem", "GuardedClient", "Reason", "Refused", "check_url"]

USER_AGENT = "longrun"
REDIRECTS = (301, 302, 303, 307, 308)
TRANSIENT = (408, 425, 429)  # and everything from 500 on
ENCODINGS = ("", "identity", "gzip", "deflate")  # one layer only: two of them make a bomb
UNPACK_BYTES = 1024  # unpacked at once: deflate makes up to 1,032 times as much of it
URL_CHARS = 8192  # what most servers take as a request line
SEND_TIMEOUT_S = 15.0  # what senders of webhooks commonly wait
ANSWER_BYTES = 64 * 1024  # enough to tell what a server complained about
HOST = re.compile(rb"[a-z0-9._-]+|[0-9a-fA-F:.]+")  # a name, or an address without an interface
FIRST_FREE_PORT = 1024  # below, all but the web's own belong to services that speak something else
WEB_PORTS = (80, 443)
OURS = {  # headers that say where a request goes, where it ends, and in what form we can read
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Report = Callable[[int, int], None]
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """What a server answered: header names in lower case, and the first bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool  # False: the body was longer, or compressed in a way we do not read


class GuardedClient:
    """Speaks HTTP(S) to public addresses, within limits of size, time and hops."""

    def __init__(
        self,
        limits: FetchSettings = settings.fetch,
        *,
        resolver: Resolver = resolve,
        dial: httpcore.NetworkBackend | None = None,
    ) -> None:
        """Keep to `limits`. `dial` opens the connections to addresses that were checked."""
        self._limits = limits
        self._resolver = resolver
        self._dial = dial or httpcore.SyncBackend()

    def download(self, url: str, *, progress: Report | None = None) -> bytes:
        """Return the body at `url`, after redirects, also between http and https.

        `progress(done_bytes, total_bytes)` is told about each piece; total 0 when unknown.
        Raises Refused, Failed.
        """
        network = self._network(self._limits.timeout_s)
        at = check_url(url)
        for _ in range(self._limits.max_redirects + 1):
            target = self._get(network, at, progress or _ignore)
            if isinstance(target, bytes):
                return target
            at = target
        raise Refused("The address redirects too often.", "redirects")

    def send(
        self,
        method: Method,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeout_s: float = SEND_TIMEOUT_S,
        max_bytes: int = ANSWER_BYTES,
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        Redirects are answers too and never followed: headers and content may be secret. What
        cannot go out (a header with a line break, or one of those we set) raises Refused;
        a server that does not answer in time, or not in HTTP, raises Failed.
        """
        at = check_url(url)
        network = self._network(timeout_s)
        with _exchange(network, method, at, _checked_headers(headers or {}), content) as answer:
            body, complete = _first_bytes(answer, max_bytes)
            return Answer(answer.status_code, dict(answer.headers), body, complete)

    def _network(self, timeout_s: float) -> GuardedNetwork:
        return GuardedNetwork(
            self._resolver,
            self._dial,
            allow_loopback=self._limits.allow_loopback,
            timeout_s=timeout_s,
        )

    def _get(self, network: GuardedNetwork, at: httpx.URL, report: Report) -> bytes | httpx.URL:
        with _exchange(network, "GET", at, _checked_headers({})) as answer:
            location = answer.headers.get("location")
            if answer.status_code in REDIRECTS and location:
                return check_url(location, base=at)
            _check_status(answer, _host(at))
            return self._body(answer, report)

    def _body(self, answer: httpx.Response, report: Report) -> bytes:
        total = _length(answer)
        if total > self._limits.max_bytes:
            raise self._too_large()
        if not _is_readable(answer):
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


def check_url(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Return `url`, parsed, if it may be asked for as far as one can see. Raises Refused.

    Good for what users save: an early no. Whether its host is public is checked on connecting.
    """
    if len(url) > URL_CHARS:
        raise Refused(f"The address is longer than {URL_CHARS} characters.", "too_long")
    try:
        parsed = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Refused("This is not an address.", "host") from error
    if parsed.scheme not in ("http", "https"):
        raise Refused("Only http and https addresses are fetched.", "scheme")
    if parsed.userinfo:
        raise Refused("The address must not hold a user name or a password.", "credentials")
    if not HOST.fullmatch(parsed.raw_host):
        raise Refused("The address names no host.", "host")
    if not (parsed.port is None or parsed.port in WEB_PORTS or parsed.port >= FIRST_FREE_PORT):
        raise Refused("Web servers are not asked for on this port.", "port")
    if parsed.port is not None and parsed.port > 0xFFFF:
        raise Refused("There is no such port.", "port")
    return parsed


@contextmanager
def _exchange(
    network: GuardedNetwork,
    method: Method,
    at: httpx.URL,
    headers: Headers,
    content: bytes | None = None,
) -> Iterator[httpx.Response]:
    """Open one connection, for one request. Raises Refused, Failed, also out of the block."""
    host = _host(at)
    url = httpcore.URL(scheme=at.raw_scheme, host=at.raw_host, port=at.port, target=at.raw_path)
    sent = [(b"host", at.netloc), *headers]
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_trust(), network_backend=network) as pool,
            pool.stream(method, url, headers=sent, content=content) as answer,
        ):
            yield httpx.Response(answer.status, headers=answer.headers, stream=_Pieces(answer))
    except httpcore.TimeoutException as error:
        raise Failed(f"{host} took longer than {network.timeout_s:g} s.") from error
    except httpcore.LocalProtocolError as error:
        raise Refused("A header holds what no header may hold.", "header") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.DecodingError) as error:
        raise Failed(f"The connection to {host} failed.") from error


class _Pieces(httpx.SyncByteStream):
    """A body; a compressed one in pieces so small that none becomes large when unpacked."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        compressed = any(name.lower() == b"content-encoding" for name, _ in self._answer.headers)
        for read in self._answer.iter_stream():
            length = UNPACK_BYTES if compressed else len(read) or 1
            for start in range(0, len(read), length):
                yield read[start : start + length]


@cache
def _trust() -> SSLContext:
    """Return what certificates are checked with; reading them takes up to 0.2 s."""
    return httpx.create_ssl_context(trust_env=False)


def _ignore(done_bytes: int, total_bytes: int) -> None:
    """Take a report that nobody asked for."""


def _host(at: httpx.URL) -> str:
    """Return the host in ASCII; `at.host` would raise for a name that is badly encoded."""
    return at.raw_host.decode("ascii")


def _length(answer: httpx.Response) -> int:
    value = answer.headers.get("content-length", "")
    return int(value) if value.isdecimal() else 0


def _is_readable(answer: httpx.Response) -> bool:
    return answer.headers.get("content-encoding", "").strip().lower() in ENCODINGS


def _first_bytes(answer: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Return up to `limit` bytes of the body, and whether that is all of it."""
    if not _is_readable(answer):
        return b"", False
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > limit:
            return bytes(body[:limit]), False
    return bytes(body), True


def _checked_headers(given: Mapping[str, str]) -> Headers:
    headers = {"user-agent": USER_AGENT} | {name.lower(): value for name, value in given.items()}
    if OURS & headers.keys():
        raise Refused("A header is one of those that are set for every request.", "header")
    headers["accept-encoding"] = "identity"
    try:
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    except UnicodeEncodeError as error:
        raise Refused("A header holds what no header may hold.", "header") from error


def _check_status(answer: httpx.Response, host: str) -> None:
    status = answer.status_code
    if answer.is_success:
        return
    if status in TRANSIENT or status >= 500:
        wait = retry_after_s(answer.headers.get("retry-after"))
        raise Failed(f"{host} answered with status {status}.", wait)
    raise Refused(f"{host} answered with status {status}.", "status", status)
