"""Whatever strangers send: it is read, or refused with an error that is documented."""

import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from api.sse import verify_stream_token
from api.streams import Cursor
from config.crypto import Mailbox, Unsealable, unseal
from config.fetch import FetchProblem, check_url
from config.retry_after import retry_after_s
from config.settings import AuthSettings
from models.accounts.external import subject_of
from models.accounts.trust import trusted_id
from models.documents import stage
from models.errors import DomainError
from models.files import FileFormat, check_content, decode, format_of_url, safe_name
from models.goals.recurrence import advanced, check_rule, occurrences
from models.pages import join_pages
from models.schedules.times import Cadence, check_cron
from models.webhooks.keeping import check_target
from tasks.adapters.documents import DocumentReader
from tests.documents import CONTAINER, OPF, XHTML, epub, packed, pdf, rewritten

DEEP = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))  # per reader; the suite's budget is seconds
LONGEST = timedelta(seconds=20)  # for one of them, on a machine that does much else
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a secret of thirty-two characters"
DOCUMENTED = (DomainError, Unsealable, FetchProblem)

BUDGET = settings(
    max_examples=EXAMPLES,
    deadline=LONGEST,
    derandomize=not DEEP,
    database=None,
    suppress_health_check=list(HealthCheck),
)

PAGE = "<h2>The Storm</h2>" + "<p>It was a cold morning &mdash; and nobody slept.</p>" * 8
NAV = '<ol><li><a href="p0.xhtml">Storm</a></li><li><a href="p1.xhtml#x">Calm</a></li></ol>'
PRINTED = [["CHAPTER I", "", *["  A cold morning, and nobody in the house slept."] * 12]] * 3
BOOKS = {
    FileFormat.EPUB: epub([PAGE, PAGE], nav=NAV),
    FileFormat.PDF: rewritten(pdf(PRINTED), bookmarks={"CHAPTER I": 0, "CHAPTER II": 2}),
    FileFormat.TEXT: ("CHAPTER I\n\nA naïve soul; nobody slept.\n\n" * 20).encode("cp1252"),
}
TOKENS_OF_XML = [
    b"&amp;", b"&nbsp;", b"&unknown;", b"<a ", b"</p>", b"<!--", b"<![CDATA[", b"<!DOCTYPE x [",
    b'<!ENTITY a "&b;">', b"<?xml version='1.0' encoding='utf-16'?>", b"\0", b"\xff", b"href=''",
    b'full-path="../../x"', b'idref="p9"', b'id=""', b"%00", b"#", b"\xed\xa0\x80",
]  # fmt: skip
TOKENS_OF_PDF = [
    b"obj", b"endobj", b"stream", b"<<", b">>", b"/Length -1", b"/Kids [2 0 R]", b"/Filter",
    b"/FlateDecode", b"999999999999999999999", b"R", b"[", b"(", b"startxref", b"/Count 99999999",
    b"/ASCII85Decode", b"/LZWDecode", b"/Prev 0", b"\x00",
]  # fmt: skip


def mutated(base: bytes, tokens: list[bytes]) -> st.SearchStrategy[bytes]:
    """A file that was whole once: cut, doubled, overwritten, with words of its format put in."""

    def change(seed: int, times: int) -> bytes:
        fate, data = random.Random(seed), bytearray(base)
        for _ in range(times):
            at, till = sorted(fate.randrange(len(data) + 1) for _ in range(2))
            till = min(till, at + fate.choice((1, 4, 64, 4096)))
            piece = fate.choice((b"", fate.randbytes(4), fate.choice(tokens), bytes(data[at:till])))
            data[at : fate.choice((at, till))] = piece
        return bytes(data)

    return st.builds(change, st.integers(0, 2**32), st.integers(1, 12))


def book_with(name: str, base: str) -> st.SearchStrategy[bytes]:
    """An EPUB, whole as an archive, one of whose files is not."""
    files = {
        "META-INF/container.xml": CONTAINER.encode(),
        "OEBPS/book.opf": OPF.format(
            version="3.0", toc="", spine='<itemref idref="p0"/>',
            items='<item id="p0" href="p0.xhtml" media-type="application/xhtml+xml"/>',
        ).encode(),
        "OEBPS/p0.xhtml": XHTML.format(PAGE).encode(),
    }  # fmt: skip
    broken = mutated(files.get(name, base.encode()), TOKENS_OF_XML)
    return broken.map(lambda data: packed(files | {name: data}))


def words(*parts: str) -> st.SearchStrategy[str]:
    """Text of a small language, right by chance, and any other text."""
    spoken = st.lists(st.sampled_from(parts) | st.text(max_size=3), max_size=12).map("".join)
    return spoken | st.text(max_size=200)


def read_book(file_format: FileFormat) -> Callable[[bytes], object]:
    def read(data: bytes) -> None:
        check_content(data, file_format)
        text, chapters = stage(DocumentReader().read(data, file_format))
        assert all(0 <= one.start <= one.end <= len(text) for one in chapters)

    return read


def keep_rule(text: str) -> None:
    rule = check_rule(text)
    until = NOW + timedelta(days=60)
    assert occurrences(rule, NOW, "Europe/Berlin", since=NOW, until=until) is not None
    advanced(rule, NOW, "America/New_York")


def keep_cron(text: str) -> None:
    cadence = Cadence(check_cron(text, now=NOW), None, "Europe/Berlin", NOW)
    assert len(list(islice(cadence.after(NOW), 3))) <= 3


def believe(token: str) -> None:
    subject_of(token, AuthSettings(jwt_secret=SecretStr(SECRET)))


def signed(claims: Any, headers: Any) -> str:
    return jwt.encode(claims, SECRET, "HS256", headers=headers)


def nested(depth: int) -> str:
    head = jwt.utils.base64url_encode(b"[" * depth).decode()
    return f"{head}.e30.x"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
)
JWTS = (
    st.builds(
        signed,
        st.fixed_dictionaries({}, optional={name: ANY for name in ("exp", "sub", "aud", "nbf")}),
        st.dictionaries(st.sampled_from(["typ", "x", "crit"]), st.text(max_size=5)),
    )
    | st.integers(1, 20_000).map(nested)
    | words("eyJhbGciOiJIUzI1NiJ9", ".", "e30", "=", "-", "eyJhbGciOiJub25lIn0")
)
ADDRESSES = words(
    "http", "https", "://", "user:pw@", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "0x7f.1",
    "example.org", ".local", ":80", ":99999", "/", "?", "#", "\u3002", "%00", "\\", "[", "xn--",
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Something that reads what strangers have written."""

    name: str
    read: Callable[[Any], object]
    given: st.SearchStrategy[Any]


READERS = [
    Reader("text", decode, st.binary() | mutated(BOOKS[FileFormat.TEXT], [b"\0", b"\xff\xfe"])),
    *(
        Reader(kind, read_book(kind), st.binary() | mutated(BOOKS[kind], tokens))
        for kind, tokens in ((FileFormat.EPUB, TOKENS_OF_XML), (FileFormat.PDF, TOKENS_OF_PDF))
    ),
    *(
        Reader(name, read_book(FileFormat.EPUB), book_with(name, base))
        for name, base in (
            ("META-INF/container.xml", ""), ("OEBPS/book.opf", ""), ("OEBPS/p0.xhtml", ""),
            ("META-INF/encryption.xml", "<e><EncryptionMethod Algorithm=''/></e>"),
        )
    ),
    Reader("pages", join_pages, st.lists(words("\n", " ", "12", "xiv", "-", "a", "\f"))),
    Reader("file name", safe_name, st.text()),
    Reader("cursor", Cursor.parse, words("0", "9", "-", "1000000001", "\u0663", " ")),
    Reader("recurrence", keep_rule, words(
        "RRULE:", "FREQ=", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", ";", "INTERVAL=", "BYDAY=",
        "MO", "5FR", "-1SU", ",", "BYMONTHDAY=", "31", "-31", "BYMONTH=", "2", "UNTIL=",
        "20260301T000000Z", "99991231", "COUNT=", "1", "BYSETPOS=", "WKST=",
    )),
    Reader("cron", keep_cron, words(
        "*", "/", "*/5 ", "* ", "0 ", "59 ", "23 ", "31 ", "2 ", "L", "#", "MON", "-", ",", "1-5 ",
        "@daily", "\t", "99999999999",
    )),
    Reader("bearer", believe, JWTS),
    Reader("stream token", lambda told: verify_stream_token(told, "job"), JWTS),
    Reader("trusted id", trusted_id, st.text(st.characters(), max_size=60)),
    Reader("address to fetch", check_url, ADDRESSES),
    Reader("address to tell", check_target, ADDRESSES),
    Reader("address of a book", format_of_url, ADDRESSES),
    Reader("secret", unseal, words("gAAAAA", "=", "-", "_", "A")),
    Reader("letter", Mailbox().open, words("A" * 44, "gAAAAA", "=", "-")),
    Reader("Retry-After", retry_after_s, words(
        "1", "-", ".", "e9", "inf", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, ", "99999",
    )),
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_it_is_read_or_refused(reader: Reader) -> None:
    outcomes: Counter[str] = Counter()

    @BUDGET
    @given(reader.given)
    def run(given: Any) -> None:
        outcomes[outcome(reader, given)] += 1

    run()
    assert outcomes.total() >= EXAMPLES
    assert outcomes.keys() <= {"read", "refused"}


def outcome(reader: Reader, given: Any) -> str:
    try:
        reader.read(given)
    except DOCUMENTED:
        return "refused"
    return "read"


@pytest.mark.parametrize("depth", [10, 100_000])
def test_a_token_of_any_depth_is_refused(depth: int) -> None:
    with pytest.raises(DomainError):
        believe(nested(depth))


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(DomainError):
        trusted_id("\ud800")
