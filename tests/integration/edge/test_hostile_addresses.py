"""The guarded client and a server on loopback that lures it elsewhere, floods it or holds it."""

import gzip
import json
import re
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from config.fetch import Answer, Failed, GuardedClient, Refused
from config.settings import FetchSettings
from tests.hostile_addresses import HOSTS, NOT_PUBLIC, SPELLINGS, URLS, within_url
from tests.networks import Internet, Names

PUBLIC, OTHER = "93.184.216.34", "8.8.8.8"  # on our internet both are the server below
LIMITS = FetchSettings(timeout_s=2.0, max_bytes=100_000, max_redirects=3)
SECRET = "Bearer of-the-user"
MIB = 1024 * 1024
BOMBS = {"gzip": gzip.compress(b"0" * 50 * MIB), "deflate": zlib.compress(b"0" * 50 * MIB)}


# What is relative is harmless where there is a base, and a line break ends a header.
ABSOLUTE = re.compile(r"(?!https?:(?!//[^/:@]))[^/?:]+:[^\r\n\x00]*", re.IGNORECASE)

LURES = [
    *(within_url(address) for address in NOT_PUBLIC),
    *(f"http://{host}/" for host in (*SPELLINGS, *HOSTS) if "\ud800" not in host),
    *(url for url, _ in URLS if ABSOLUTE.fullmatch(url)),
]


class Lure(BaseHTTPRequestHandler):
    """Does what the path says, and remembers who came."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []
    target = ""

    def do_GET(self) -> None:
        self.seen.append((self.path, {name.lower(): text for name, text in self.headers.items()}))
        name, _, rest = self.path[1:].partition("/")
        act: Callable[[str], None] = getattr(self, f"do_{name}")
        try:
            act(rest)
        except OSError:
            return  # the client has left

    do_POST = do_GET

    def raw(self, *lines: str, body: bytes = b"") -> None:
        head = "\r\n".join(["HTTP/1.1 " + lines[0], *lines[1:], "Connection: close", "", ""])
        self.wfile.write(head.encode() + body)

    def do_to(self, status: str) -> None:
        self.raw(f"{status[:3]} Elsewhere", f"Location: {self.target}", "Set-Cookie: a=b; Path=/")

    def do_ring(self, status: str) -> None:
        self.raw(f"{status} Here", f"Location: {self.path}")

    def do_slowly(self, rest: str) -> None:
        time.sleep(0.9)
        self.raw("302 Elsewhere", "Location: /slowly/on")

    def do_echo(self, rest: str) -> None:
        length = int(self.headers.get("content-length", "0"))
        told = {"headers": dict(self.headers), "body": self.rfile.read(length).decode()}
        self.raw("418 Teapot", "X-Mixed-Case: Yes", body=json.dumps(told).encode())

    def do_bomb(self, encoding: str) -> None:
        self.raw("200 OK", f"Content-Encoding: {encoding}", body=BOMBS.get(encoding, b"?"))

    def do_long(self, rest: str) -> None:
        self.raw("200 OK", body=b"0" * MIB)

    def do_headers(self, rest: str) -> None:
        self.raw("200 OK", *(f"X-{number}: {'0' * 1000}" for number in range(10_000)))

    def do_hints(self, rest: str) -> None:
        for _ in range(1000):
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            time.sleep(0.05)

    def do_drip(self, rest: str) -> None:
        self.raw("200 OK", "Content-Length: 1000")
        for _ in range(100):
            self.wfile.write(b"0")
            time.sleep(0.1)

    def do_sip(self, rest: str) -> None:
        for _ in range(100):
            self.rfile.read(MIB // 2)
            time.sleep(0.1)

    def do_nonsense(self, rest: str) -> None:
        self.wfile.write(b"+OK hello\r\n-ERR no such command\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lure)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def internet(port: int) -> Internet:
    Lure.seen.clear()
    return Internet({PUBLIC: port, OTHER: port})


@pytest.fixture
def client(internet: Internet) -> GuardedClient:
    names = Names(files=[[PUBLIC]], other=[[OTHER]], rebinding=[[PUBLIC], ["127.0.0.1"]])
    return GuardedClient(LIMITS, resolver=names, dial=internet)


@pytest.mark.parametrize("url", LURES, ids=[ascii(url)[:40] for url in LURES])
def test_a_redirect_leads_nowhere_that_the_address_itself_would_not(
    client: GuardedClient, internet: Internet, url: str
) -> None:
    Lure.target = url
    with pytest.raises(Refused):
        client.download("http://files.example/to/302")
    assert internet.dialled == [PUBLIC]
    assert len(Lure.seen) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", *SPELLINGS, "localhost"])
def test_the_systems_own_resolver_finds_no_way_in(port: int, host: str) -> None:
    Lure.seen.clear()
    with pytest.raises((Refused, Failed)):
        GuardedClient(LIMITS).download(f"http://{host}:{port}/long")
    assert Lure.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_ring_of_redirects_ends(client: GuardedClient, status: int) -> None:
    with pytest.raises(Refused) as refused:
        client.download(f"http://files.example/ring/{status}")
    assert refused.value.reason == "redirects"
    assert len(Lure.seen) == LIMITS.max_redirects + 1


def test_a_name_that_is_public_only_once_is_refused_the_second_time(
    client: GuardedClient, internet: Internet
) -> None:
    Lure.target = "/long"
    with pytest.raises(Refused) as refused:
        client.download("http://rebinding.example/to/302")
    assert refused.value.reason == "address"
    assert internet.dialled == [PUBLIC]


@pytest.mark.parametrize("host", ["files.example", "files.example:8080", "other.example"])
def test_a_redirect_takes_nothing_along(client: GuardedClient, host: str) -> None:
    Lure.target = f"http://{host}/echo#part"
    with pytest.raises(Refused, match="status 418"):
        client.download("http://files.example/to/302?signature=secret")
    path, headers = Lure.seen[1]
    assert path == "/echo"
    assert headers == {
        "host": host,
        "user-agent": "longrun",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_is_sent_stays_with_the_server_it_was_meant_for(
    client: GuardedClient, internet: Internet, status: int
) -> None:
    Lure.target = "http://other.example/echo"
    url, headers = f"http://files.example/to/{status}", {"Authorization": SECRET}
    answer = client.send("POST", url, headers=headers, content=b"{}")
    assert (answer.status, answer.headers["location"]) == (status, Lure.target)
    assert internet.dialled == [PUBLIC]


def test_an_answer_tells_its_status_headers_and_body(client: GuardedClient) -> None:
    headers = {"Authorization": SECRET, "Content-Type": "application/json"}
    answer = client.send("POST", "http://files.example/echo", headers=headers, content=b'{"a":1}')
    told = json.loads(answer.body)
    assert (answer.status, answer.complete, answer.headers["x-mixed-case"]) == (418, True, "Yes")
    assert told["body"] == '{"a":1}'
    assert {name.lower(): text for name, text in told["headers"].items()} == {
        "host": "files.example",
        "user-agent": "longrun",
        "authorization": SECRET,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": "7",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "127.0.0.1"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Accept-Encoding", "gzip"),
        ("X-Name", "a\r\nHost: 127.0.0.1"),
        ("X-Name", "a\nb"),
        ("X-Name", "a\x00b"),
        ("X-Name", "\u20ac"),
        ("X-Name: a\r\nX-Other", "b"),
        ("X Name", "a"),
        ("", "a"),
    ],
)
def test_a_header_that_changes_the_request_is_not_sent(
    client: GuardedClient, name: str, value: str
) -> None:
    with pytest.raises(Refused) as refused:
        client.send("POST", "http://files.example/echo", headers={name: value}, content=b"{}")
    assert refused.value.reason == "header"
    assert Lure.seen == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_never_unpacked(client: GuardedClient, encoding: str) -> None:
    client.send("GET", "http://files.example/long")  # what is loaded once does not count
    tracemalloc.start()
    answer = client.send("GET", f"http://files.example/bomb/{encoding}", max_bytes=1000)
    with pytest.raises(Refused, match="larger than 100000 bytes"):
        client.download(f"http://files.example/bomb/{encoding}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.body, answer.complete) == (b"0" * 1000, False)
    assert peak < 8 * MIB  # of 50 that are in it


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "deflate,gzip"])
def test_what_is_packed_otherwise_stays_packed(client: GuardedClient, encoding: str) -> None:
    answer = client.send("GET", f"http://files.example/bomb/{encoding.replace(' ', '')}")
    assert (answer.status, answer.body, answer.complete) == (200, b"", False)


def test_a_long_answer_is_cut(client: GuardedClient) -> None:
    answer = client.send("GET", "http://files.example/long", max_bytes=10)
    assert (answer.body, answer.complete) == (b"0" * 10, False)


@pytest.mark.parametrize("path", ["headers", "nonsense"])
def test_what_is_hardly_http_fails(client: GuardedClient, path: str) -> None:
    with pytest.raises(Failed, match="The connection to"):
        client.download(f"http://files.example/{path}")


@pytest.mark.parametrize("path", ["drip", "hints", "slowly"])
def test_a_server_that_plays_for_time_loses(client: GuardedClient, path: str) -> None:
    assert seconds_until_given_up(lambda: client.download(f"http://files.example/{path}")) < 3.0


def test_a_server_that_sips_what_is_sent_loses(client: GuardedClient) -> None:
    url, content = "http://files.example/sip", b"0" * 60 * MIB
    sends = partial(client.send, "POST", url, content=content, timeout_s=2.0)
    assert seconds_until_given_up(sends) < 3.0


def seconds_until_given_up(ask: Callable[[], bytes | Answer]) -> float:
    begun = time.monotonic()
    with pytest.raises(Failed, match="took longer than 2 s"):
        ask()
    return time.monotonic() - begun
