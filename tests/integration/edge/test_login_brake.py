"""Guessing passwords is slowed down in Postgres, whatever Redis does."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from config.local import EmbeddedValkey
from config.settings import settings
from tests.integration.accounts.people import PASSWORD, execute, sign_up


@pytest.fixture
def braked(monkeypatch: pytest.MonkeyPatch) -> None:
    login = settings.login.model_copy(update={"failures": 3, "address_failures": 6})
    changed = settings.model_copy(update={"login": login})
    monkeypatch.setattr("models.login_brake.settings", changed)


async def guess(web: httpx.AsyncClient, name: str, password: str = "wrong") -> httpx.Response:
    return await web.post("/auth/login", json={"identifier": name, "password": password})


async def test_too_many_failures_close_the_door_to_the_right_password_too(
    web: httpx.AsyncClient, braked: None
) -> None:
    await sign_up(web, "asha")

    answers = [(await guess(web, "asha")).status_code for _ in range(3)]
    late = await guess(web, "Asha ", PASSWORD)

    assert answers == [401] * 3
    assert (late.status_code, late.json()["error"]) == (429, "too_many_logins")
    assert 890 <= int(late.headers["retry-after"]) <= 901
    assert late.headers["x-ratelimit-limit"] == "3"
    assert late.headers["x-ratelimit-remaining"] == "0"
    assert 880 < int(late.headers["x-ratelimit-reset"]) - time.time() < 910


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/api/auth/login", {"username": "asha", "password": "x"}, "RATE_LIMIT_EXCEEDED"),
        ("/api/login/", {"email": "asha", "password": "x"}, "Too many failed logins"),
    ],
)
async def test_every_door_has_the_same_brake_and_its_own_words(
    web: httpx.AsyncClient, braked: None, path: str, body: dict[str, Any], told: str
) -> None:
    for _ in range(3):
        await guess(web, "asha")

    answer = await web.post(path, json=body)

    assert answer.status_code == 429
    assert told in answer.text
    assert answer.headers["retry-after"]


async def test_who_gets_in_is_forgiven(web: httpx.AsyncClient, braked: None) -> None:
    await sign_up(web, "asha")
    for _ in range(3):
        assert [(await guess(web, "asha")).status_code for _ in range(2)] == [401, 401]
        assert (await guess(web, "asha", PASSWORD)).status_code == 200


async def test_one_address_cannot_try_many_names(web: httpx.AsyncClient, braked: None) -> None:
    answers = [(await guess(web, f"name{n}")).status_code for n in range(7)]
    assert answers == [401] * 6 + [429]


async def test_attempts_sent_at_once_do_not_overtake_their_count(
    web: httpx.AsyncClient, braked: None
) -> None:
    answers = await asyncio.gather(*(guess(web, "asha") for _ in range(12)))
    assert sorted(one.status_code for one in answers) == [401] * 3 + [429] * 9


async def test_the_window_moves_on(web: httpx.AsyncClient, braked: None) -> None:
    for _ in range(3):
        await guess(web, "asha")
    execute("UPDATE failed_login SET at = at - interval '16 minutes'")

    assert (await guess(web, "asha")).status_code == 401
    assert len(execute("SELECT 1 FROM failed_login")) == 1


async def test_what_was_typed_is_not_kept(web: httpx.AsyncClient, braked: None) -> None:
    await guess(web, "my-password-in-the-wrong-field")
    ((row,),) = execute("SELECT row_to_json(failed_login)::text FROM failed_login")
    assert "my-password" not in row


async def test_the_brake_holds_while_redis_is_away(
    web: httpx.AsyncClient, braked: None, valkey: EmbeddedValkey
) -> None:
    valkey.stop()
    answers = [(await guess(web, "asha")).status_code for _ in range(4)]
    assert answers == [401] * 3 + [429]
