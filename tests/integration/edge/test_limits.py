"""How much may be asked for, and what is said to who asks for more."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api import limits
from config.local import EmbeddedValkey
from config.settings import settings
from models.jobs.tables import JobStatus
from tests import inline
from tests.integration.accounts.people import PASSWORD, join, sign_up

Limit = Callable[..., None]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    monkeypatch.setattr(limits, "_away_until", 0.0)

    def set_limits(**rates: Any) -> None:
        own = settings.limits.model_copy(update=rates | {"local_factor": 1})
        monkeypatch.setattr(limits, "settings", settings.model_copy(update={"limits": own}))

    return set_limits


def uncounted() -> float:
    (family,) = limits.failed_open.collect()
    return next(one.value for one in family.samples if one.name.endswith("_total"))


async def test_an_address_that_asks_too_often_waits(web: httpx.AsyncClient, limit: Limit) -> None:
    limit(address="3/minute")

    answers = [await web.get("/pipelines") for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.json()["code"] == "rate_limited"
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-limit"] == "3"
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert int(refused.headers["x-ratelimit-reset"]) > 1_700_000_000


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/books", "detail"),
        ("/v1/auth/me", "error"),
        ("/api/users/11111111-1111-4111-8111-111111111111", "request_id"),
        ("/api/verify/x/", "error"),
        ("/users/x", "detail"),
        ("/nowhere", "title"),
    ],
)
async def test_it_is_told_in_the_dialect_of_the_route(
    web: httpx.AsyncClient, limit: Limit, path: str, told: str
) -> None:
    limit(address="1/minute")
    await web.get("/pipelines")

    refused = await web.get(path)

    assert refused.status_code == 429
    assert told in refused.json()
    assert refused.headers["retry-after"]


async def test_scenes_has_its_own_code_for_it(web: httpx.AsyncClient, limit: Limit) -> None:
    limit(doors="1/minute")
    body = {"username": "asha", "password": "x"}
    await web.post("/api/auth/login", json=body)

    refused = await web.post("/api/auth/login", json=body)

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"


async def test_probes_and_progress_are_never_refused(web: httpx.AsyncClient, limit: Limit) -> None:
    limit(address="1/hour")
    paths = ["/health", "/health", "/ready", "/metrics", "/jobs/x/events", "/jobs/x/events"]
    assert 429 not in [(await web.get(path)).status_code for path in paths]


async def test_people_are_counted_apart(web: httpx.AsyncClient, limit: Limit) -> None:
    asha, rani = [(await join(web, name))[1] for name in ("asha", "rani")]
    limit(person="2/minute")

    answers = [(await web.get("/books", headers=asha)).status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    assert (await web.get("/books", headers=rani)).status_code == 200


async def test_who_talks_sees_how_much_is_left(client: httpx.AsyncClient, limit: Limit) -> None:
    limit(chat="2/minute")
    nobody = "11111111-1111-4111-8111-111111111111"
    said = dict.fromkeys(("session_id", "book_id", "character_id", "user_id"), nobody)
    say = {**said, "user_message": "Good evening."}

    answers = [await client.post("/character/chat", json=say) for _ in range(3)]

    assert [one.status_code for one in answers] == [404, 404, 429]
    assert [one.headers["x-ratelimit-remaining"] for one in answers] == ["1", "0", "0"]
    assert "detail" in answers[-1].json()


async def test_uploads_have_a_limit_of_their_own(client: httpx.AsyncClient, limit: Limit) -> None:
    limit(uploads="1/hour")
    file = {"file": ("book.txt", b"A short book.", "text/plain")}

    answers = [
        (await client.post("/books", data={"title": "x"}, files=file)).status_code for _ in range(2)
    ]

    assert answers == [201, 429]


async def test_the_window_slides(web: httpx.AsyncClient, limit: Limit) -> None:
    limit(address="2/second")
    assert [(await web.get("/pipelines")).status_code for _ in range(3)] == [200, 200, 429]
    await asyncio.sleep(2.1)
    assert (await web.get("/pipelines")).status_code == 200


async def test_everything_passes_and_is_counted_while_redis_is_away(
    web: httpx.AsyncClient, limit: Limit, valkey: EmbeddedValkey
) -> None:
    limit(address="1/hour")
    before = uncounted()
    valkey.stop()

    assert [(await web.get("/pipelines")).status_code for _ in range(3)] == [200] * 3

    assert uncounted() == before + 3
    assert f"longrun_limits_failed_open_total {uncounted()}" in (await web.get("/metrics")).text


async def test_they_can_be_switched_off(web: httpx.AsyncClient, limit: Limit) -> None:
    limit(enabled=False, address="1/hour", doors="")
    assert [(await web.get("/pipelines")).status_code for _ in range(3)] == [200] * 3


async def test_open_streams_are_counted_and_closed_ones_forgotten(
    client: httpx.AsyncClient, limit: Limit
) -> None:
    limit(streams=1)
    job = (await client.post("/jobs/tests.line", json={})).json()
    url = f"/jobs/{job['id']}/events"

    reading = asyncio.create_task(client.get(url))
    while not limits._open:
        await asyncio.sleep(0.01)
    second = await client.get(url)
    inline.drain()
    first = await reading

    assert (second.status_code, second.json()["code"]) == (429, "too_many_streams")
    told = [second.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining")]
    assert (told, int(second.headers["retry-after"])) == (["1", "0"], 2)
    assert int(second.headers["x-ratelimit-reset"]) > time.time() - 60
    assert first.status_code == 200
    assert JobStatus.SUCCEEDED in first.text
    assert (await client.get(url)).status_code == 200
    assert not limits._open


async def test_logging_in_is_limited_by_address(web: httpx.AsyncClient, limit: Limit) -> None:
    await sign_up(web, "asha")
    limit(doors="1/minute")
    body = {"identifier": "asha", "password": PASSWORD}
    assert (await web.post("/auth/login", json=body)).status_code == 200
    assert (await web.post("/auth/login", json=body)).json()["error"] == "rate_limited"
