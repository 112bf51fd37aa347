"""Every line says what it belongs to, and holds no secret."""

import asyncio
import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from config import logging as lines
from config.logging import about, redact
from config.settings import settings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What the process writes, with its logging put back as it was."""
    root, before = logging.root, (logging.root.handlers[:], logging.root.level)
    lines.configure()
    stream = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_line_names_what_it_belongs_to(out: io.StringIO) -> None:
    logger = logging.getLogger("some.room")
    with about(request="r-1"):
        with about(job="j-1", step="s-1"):
            logger.info("within")
        logger.info("around")
    logger.info("outside")

    told = [line.split(" ", 1) for line in out.getvalue().splitlines()]
    assert [rest for _, rest in told] == [
        "INFO some.room request=r-1 job=j-1 step=s-1 within",
        "INFO some.room request=r-1 job=- step=- around",
        "INFO some.room request=- job=- step=- outside",
    ]
    assert all(at.endswith("Z") and len(at) == 24 for at, _ in told)


async def test_two_requests_at_once_do_not_mix(out: io.StringIO) -> None:
    async def serve(name: str) -> None:
        with about(request=name):
            await asyncio.sleep(0.01)
            logging.getLogger("web").info("from %s", name)
            await asyncio.to_thread(logging.getLogger("web").info, "thread of %s", name)

    await asyncio.gather(*(serve(f"r-{n}") for n in range(5)))

    told = out.getvalue().splitlines()
    assert len(told) == 10
    assert all(f"request={line.rsplit(' ', 1)[1]} " in line for line in told)


SECRETS = [
    ("Authorization: Bearer dG9wLXNlY3JldC10b2tlbg", "dG9wLXNlY3JldC10b2tlbg"),
    ("sent Bearer dG9wLXNlY3JldC10b2tlbg.x", "dG9wLXNlY3JldC10b2tlbg"),
    ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
    ("[(b'authorization', b'Bearer abc')]", "abc"),
    ("[(b'x-service-token', b's3cr3t')]", "s3cr3t"),
    ("X-Service-Token: s3cr3t", "s3cr3t"),
    ('{"password": "correct horse battery", "n": 1}', "horse"),
    ('{"password": "with \\"quotes\\" inside"}', "inside"),
    ("password='correct horse'", "horse"),
    ("PGPASSWORD=hunter2", "hunter2"),
    ("smtp_password=hunter2;", "hunter2"),
    ("api_key=abc123", "abc123"),
    ("OPENAI_API_KEY=abc123", "abc123"),
    ("{'api-key': 'abc123'}", "abc123"),
    ("client_secret: abc123", "abc123"),
    ("postgresql://longrun:p%40ss@db/longrun", "p%40ss"),
    ("redis://:hunter2@localhost:6379/0", "hunter2"),
    ("https://token@files.example/a.md", "token"),
    ("GET /jobs/1/events?token=opensesame HTTP/1.1", "opensesame"),
    ("GET https://files.example/a?X-Amz-Signature=abc123&b=1", "abc123"),
    ("https://ai.example/v1?key=abc123", "abc123"),
    ("Cookie: longrun_admin=abc123; other=def456", "def456"),
    ("set-cookie: longrun_admin=abc123", "abc123"),
    ("using sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123", "abcdefghij"),
    (f"stream {JWT}", JWT[-12:]),
    (f"key {settings.secret_key.get_secret_value()} in use", "development-only"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_hidden(text: str, secret: str) -> None:
    told = redact(text)
    assert secret not in told
    assert "***" in told


@pytest.mark.parametrize(
    "text",
    [
        "prompt_tokens=812 completion_tokens=9 chunk_tokens: 400",
        "GET /books?limit=20&after=3 HTTP/1.1",
        "Sent a mail: http://localhost:8000/api/verify/abcdef/",
        "connected to https://files.example:8443/a@b.md",
        "step books.ingest.write_persona of job 0199 failed",
        "The basic understanding of bearers",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_traceback_is_redacted_too(out: io.StringIO) -> None:
    try:
        raise ValueError("no such user: postgresql://longrun:hunter2@db/longrun")
    except ValueError:
        logging.getLogger("some.room").exception("failed with %s", {"password": "hunter2"})

    assert "ValueError" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_a_line_of_somebody_elses_handler_comes_through_ours(out: io.StringIO) -> None:
    theirs = io.StringIO()
    logger = logging.getLogger("some.server")
    logger.addHandler(logging.StreamHandler(theirs))
    logger.propagate = False
    lines.adopt("some.server")

    with ThreadPoolExecutor() as pool:
        pool.submit(logger.error, "GET /x?token=opensesame").result()

    assert theirs.getvalue() == ""
    assert "some.server" in out.getvalue()
    assert "opensesame" not in out.getvalue()
