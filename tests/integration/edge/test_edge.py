"""What stands before every route: names, hosts, headers, sizes."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import edge
from api.app import Guarded
from api.errors import install
from config.settings import settings


def configured(monkeypatch: pytest.MonkeyPatch, **web: str) -> None:
    own = settings.model_copy(update={"web": settings.web.model_copy(update=web)})
    monkeypatch.setattr(edge, "settings", own)


@pytest.fixture
async def broken() -> AsyncIterator[httpx.AsyncClient]:
    """An application that fails, behind the same guards."""
    app = Guarded()
    install(app)

    @app.get("/crash")
    def crash() -> None:
        raise RuntimeError("the inside: postgresql://longrun:hunter2@db/longrun")

    async with of(app) as client:
        yield client


def of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_an_answer_says_the_id_of_its_request(client: httpx.AsyncClient) -> None:
    first, second = [(await client.get("/health")).headers["x-request-id"] for _ in range(2)]
    assert first != second
    kept = await client.get("/health", headers={"X-Request-ID": "from-the-proxy.1"})
    assert kept.headers["x-request-id"] == "from-the-proxy.1"


@pytest.mark.parametrize("given", ["x" * 65, "a b", "{}", "\t"])
async def test_an_id_of_another_form_is_not_taken_over(
    client: httpx.AsyncClient, given: str
) -> None:
    told = (await client.get("/health", headers={"X-Request-ID": given})).headers["x-request-id"]
    assert told != given
    assert len(told) == 36


async def test_the_body_of_scenes_says_the_same_id(client: httpx.AsyncClient) -> None:
    refused = await client.get("/api/users/x", headers={"X-Request-ID": "abc"})
    assert refused.json()["request_id"] == "abc"


async def test_a_crash_tells_its_id_and_nothing_else(
    broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await broken.get("/crash", headers={"X-Request-ID": "abc"})

    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "abc"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "inside" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "test.evil"])
async def test_a_name_that_is_not_ours_is_refused(client: httpx.AsyncClient, host: str) -> None:
    refused = await client.get("/books", headers={"Host": host})
    assert refused.status_code == 400
    assert "not reached by that name" in refused.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"])
async def test_our_own_names_and_plain_addresses_are_served(
    client: httpx.AsyncClient, host: str
) -> None:
    assert (await client.get("/health", headers={"Host": host})).status_code == 200


async def test_the_public_name_is_ours(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(monkeypatch, public_url="https://longrun.example", allowed_hosts="also.example")
    for host, status in (("longrun.example", 200), ("also.example:443", 200), ("test", 400)):
        assert (await client.get("/health", headers={"Host": host})).status_code == status


def test_outside_the_local_stack_an_unconfigured_server_takes_any_name() -> None:
    web = settings.web.model_copy(update={"allowed_hosts": "", "public_url": ""})
    anywhere = {"environment": "production", "web": web}
    assert edge.own_names(settings.model_copy(update=anywhere)) is None


async def test_answers_are_no_pages_to_a_browser(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/pipelines")).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in headers
    assert "'self'" in (await client.get("/docs")).headers["content-security-policy"]


async def test_over_tls_browsers_are_told_to_stay_with_it(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(monkeypatch, public_url="https://test")
    headers = (await client.get("/health")).headers
    assert headers["strict-transport-security"] == "max-age=31536000"


async def test_pages_elsewhere_have_no_rights(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health", headers={"Origin": "https://app.example"})
    assert "access-control-allow-origin" not in answer.headers


async def test_named_pages_may_call_and_read_what_they_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured(monkeypatch, cors_origins="https://app.example")
    app = Guarded()
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    async with of(app) as client:
        preflight = await client.options("/books", headers=asked)
        answer = await client.get("/nowhere", headers={"Origin": "https://app.example"})
        other = await client.options("/books", headers=asked | {"Origin": "https://evil.example"})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "X-Job-ID" in answer.headers["access-control-expose-headers"]
    assert "Link" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers


async def many(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b" " * 65536


@pytest.mark.parametrize("announced", [True, False])
async def test_a_large_body_is_refused_before_it_is_parsed(
    client: httpx.AsyncClient, announced: bool
) -> None:
    size = settings.upload.max_body_bytes + 1
    content: Any = b" " * size if announced else many(size)
    headers = {"Content-Type": "application/json"}

    refused = await client.post("/chat-sessions", content=content, headers=headers)

    assert refused.status_code == 413
    assert refused.json()["code"] == "body_too_large"


async def test_a_line_of_the_log_names_its_request(
    broken: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    from config.logging import Belonging, Line

    caplog.handler.addFilter(Belonging())
    with caplog.at_level(logging.ERROR):
        await broken.get("/crash", headers={"X-Request-ID": "abc"})

    (line,) = [Line().format(one) for one in caplog.records if one.name == "api.errors"]
    assert "request=abc" in line
    assert "RuntimeError" in line
    assert "hunter2" not in line
    assert json.dumps(line)
