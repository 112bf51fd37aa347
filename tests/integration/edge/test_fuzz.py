"""Whatever is sent, the API never breaks: requests made from its own OpenAPI schema."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

from api.app import app

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "12"))  # per route; CI's budget is a minute
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
UNREADY = {  # these say 503, and rightly: no worker runs here, and nobody has a key of Deepgram's
    "/ready",
    "/api/v1/voice/session",
}

schema = schemathesis.openapi.from_dict(app.openapi()).exclude(path=list(UNREADY))


@pytest.fixture
def served(owner: None) -> Iterator[str]:
    """The address of the API, which a thread of this process serves over HTTP."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


BUDGET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def ask(operation: Any, url: str) -> None:
    @BUDGET
    @given(case=operation.as_strategy())
    def run(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS, timeout=10)

    run()


@pytest.mark.timeout(60 * EXAMPLES)
def test_no_request_breaks_it(served: str) -> None:
    problems: list[BaseException] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        try:
            ask(operation, served)
        except FailureGroup as problem:
            problem.add_note(operation.label)
            problems.append(problem)
    if problems:
        raise BaseExceptionGroup("Requests that broke it", problems)


DOORS = [  # of each dialect some that take a body, files and calls among them
    ("POST", "/jobs/tests.fan"), ("POST", "/schedules"), ("POST", "/webhooks"), ("POST", "/books"),
    ("POST", "/character/chat"), ("POST", "/character/processing"), ("POST", "/auth/login"),
    ("POST", "/auth/register"), ("POST", "/api/auth/login"), ("POST", "/api/signup/"),
    ("POST", "/users/somebody"), ("POST", "/goals"), ("POST", "/goals/start"), ("PATCH", "/tasks"),
    ("POST", "/scheduler/suggest"), ("POST", "/api/v1/voice/messages"),
    ("POST", "/api/v1/voice/intents"), ("POST", "/api/v1/rag/ingest"),
]  # fmt: skip
KINDS = ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "application/"]
WORDS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"1e999", b"NaN", b"-0", b"\\ud800",
    b"\\u0000", b"\xff", b'"user_id"', b'"input"', b'"url"', b'"message"', b"--x\r\n", b"\r\n\r\n",
    b'Content-Disposition: form-data; name="file"; filename="a.txt"', b"[" * 3000, b'"title":"',
]  # fmt: skip
BODIES = st.binary(max_size=300) | st.lists(st.sampled_from(WORDS), max_size=20).map(b"".join)
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "Last-Event-ID", "If-None-Match", "Prefer", "Accept"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40).map(str.strip),
)


@pytest.mark.timeout(120 + EXAMPLES)
def test_no_bytes_break_a_route_that_takes_a_body(served: str) -> None:
    with httpx.Client(base_url=served, timeout=20) as client:

        @BUDGET
        @given(st.sampled_from(DOORS), BODIES, st.sampled_from(KINDS), HEADERS)
        def run(door: tuple[str, str], body: bytes, kind: str, headers: dict[str, str]) -> None:
            told = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            sent = told | {b"Content-Type": kind.encode()}
            answer = client.request(*door, content=body, headers=list(sent.items()))
            assert answer.status_code < 500, (door, body, sent, answer.text)
            assert answer.status_code != 405, door

        run()
