"""The guarded client against a server on loopback that means no good."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from config.fetch import GuardedClient
from config.guarded_network import Resolver
from config.settings import FetchSettings
from models.errors import Unavailable
from tasks.adapters.fetch import GuardedFetch
from tasks.refusals import FetchFailed, FetchRefused
from tests.suites.storage import FetchSuite

LIMITS = FetchSettings(timeout_s=2.0, max_bytes=100_000, max_redirects=3, allow_loopback=True)
REDIRECTS = {
    "/to-private": "http://10.0.0.1/secret",
    "/to-metadata": "http://169.254.169.254/latest/meta-data",
    "/to-file": "file:///etc/passwd",
    "/to-user": "http://user:password@127.0.0.1/x",
    "/round": "/round",
    "/once": "/book.txt",
}


class Hostile(BaseHTTPRequestHandler):
    """Says what the path asks for."""

    served: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.served.append(self.path)
        act: Callable[[], None] = getattr(self, f"do_{self.path[1:].partition('.')[0]}", self.other)
        try:
            act()
        except OSError:
            return  # the client has left

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def other(self) -> None:
        if self.path in REDIRECTS:
            self.answer(302, Location=REDIRECTS[self.path])
        elif self.path.startswith("/status-"):
            self.answer(int(self.path.removeprefix("/status-")), Retry_After="7")
        else:
            self.answer(404)

    def do_book(self) -> None:
        self.answer(200, b"text" * 1000)

    def do_zipped(self) -> None:
        self.answer(200, gzip.compress(b"text" * 1000), Content_Encoding="gzip")

    def do_bomb(self) -> None:
        self.answer(200, gzip.compress(b"0" * 10_000_000), Content_Encoding="gzip")

    def do_twice(self) -> None:
        twice = gzip.compress(gzip.compress(b"0" * 1000))
        self.answer(200, twice, Content_Encoding="gzip, gzip")

    def do_said_too_large(self) -> None:
        self.answer(200, b"", Content_Length="100001")

    def do_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b"0" * 10_000)

    def do_short(self) -> None:
        self.answer(200, b"half", Content_Length="100")

    def do_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self._drip()

    def do_drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self._drip()

    def _drip(self) -> None:
        for _ in range(100):
            self.wfile.write(b"0")
            self.wfile.flush()
            time.sleep(0.1)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch() -> GuardedFetch:
    return GuardedFetch(GuardedClient(LIMITS))


class TestGuardedFetch(FetchSuite):
    """The promises of every implementation."""


def asking(resolver: Resolver) -> GuardedFetch:
    return GuardedFetch(GuardedClient(LIMITS, resolver=resolver))


def refused(fetch: GuardedFetch, url: str) -> object:
    with pytest.raises(FetchRefused) as caught:
        fetch.download(url)
    return caught.value.details["reason"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/to-private", "address"),
        ("/to-metadata", "address"),
        ("/to-file", "scheme"),
        ("/to-user", "credentials"),
        ("/round", "redirects"),
        ("/said_too_large", "too_large"),
        ("/endless", "too_large"),
        ("/bomb", "too_large"),
        ("/twice", "encoding"),
    ],
)
def test_a_trap_is_refused(fetch: GuardedFetch, base: str, path: str, reason: str) -> None:
    assert refused(fetch, base + path) == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://files.example/book.txt", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("book.txt", "scheme"),
        ("http://user@8.8.8.8/", "credentials"),
        ("http:///book.txt", "host"),
        ("http://[::1", "host"),
        ("http://exa mple/\x00", "host"),
        ("http://192.168.0.1:8000/", "address"),
        ("http://[fe80::1]/", "address"),
        ("http://[::ffff:10.0.0.1]/", "address"),
        ("http://0xa000001/", "address"),
        ("http://167772161/", "address"),
        ("http://012.1/", "address"),
    ],
)
def test_an_address_out_of_bounds_is_refused(fetch: GuardedFetch, url: str, reason: str) -> None:
    assert refused(fetch, url) == reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::1]"])
def test_loopback_needs_the_setting(base: str, host: str) -> None:
    strict = GuardedFetch(GuardedClient(FetchSettings()))
    url = base.replace("127.0.0.1", host) + "/loopback.txt"
    assert refused(strict, url) == "address"
    assert "/loopback.txt" not in Hostile.served


def test_the_next_address_is_tried_when_one_does_not_answer(base: str) -> None:
    fetch = asking(lambda host, port: ["::1", "127.0.0.1"])
    assert fetch.download(f"{base}/book.txt")


def test_a_name_that_does_not_exist_is_refused() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert refused(asking(unknown), "http://nowhere.example/") == "host"


def test_a_resolver_that_is_away_is_unavailable() -> None:
    def away(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    with pytest.raises(Unavailable):
        asking(away).download("http://files.example/")


def test_a_redirect_is_followed(fetch: GuardedFetch, base: str) -> None:
    assert fetch.download(f"{base}/once") == b"text" * 1000


def test_a_compressed_file_is_unpacked(fetch: GuardedFetch, base: str) -> None:
    assert fetch.download(f"{base}/zipped") == b"text" * 1000


@pytest.mark.parametrize("path", ["/drip", "/drip_headers"])
def test_a_server_that_drips_is_given_up_in_time(fetch: GuardedFetch, base: str, path: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="took longer than 2 s"):
        fetch.download(base + path)
    assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_status_that_may_pass_is_unavailable(fetch: GuardedFetch, base: str, status: int) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch.download(f"{base}/status-{status}")
    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("status", [401, 403, 410])
def test_a_status_that_will_not_pass_is_final(fetch: GuardedFetch, base: str, status: int) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch.download(f"{base}/status-{status}")
    assert caught.value.details["status"] == status


def test_a_file_that_breaks_off_is_unavailable(fetch: GuardedFetch, base: str) -> None:
    with pytest.raises(Unavailable):
        fetch.download(f"{base}/short")


def test_nobody_there_is_unavailable(fetch: GuardedFetch) -> None:
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable):
            fetch.download(f"http://127.0.0.1:{bound_only.getsockname()[1]}/")


def test_a_proxy_of_the_environment_is_not_asked(
    fetch: GuardedFetch, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch.download(f"{base}/book.txt")


def test_an_error_never_tells_the_signature_of_an_address(fetch: GuardedFetch, base: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch.download(f"{base}/nothing?token=secret")
    assert "secret" not in f"{caught.value} {caught.value.details} {caught.value.__cause__}"
