"""Whatever is sent, the API never breaks: requests made from its own OpenAPI schema."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
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
