"""Guests: one fixed account, at the doors of scenes, and only where they are welcome."""

import httpx
import pytest

from config.settings import settings
from models.accounts import GUEST_USER_ID

GUEST = f"/api/users/{GUEST_USER_ID}"


def welcome(monkeypatch: pytest.MonkeyPatch, guests: bool) -> None:
    own = settings.model_copy(update={"environment": "production", "guest_access": guests})
    monkeypatch.setattr("api.deps.settings", own)


async def test_who_says_nothing_is_the_guest_of_scenes_and_of_nothing_else(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    welcome(monkeypatch, True)

    assert (await web.get(GUEST)).json()["data"]["id"] == str(GUEST_USER_ID)
    assert (await web.get("/books")).status_code == 401


async def test_a_wrong_token_is_401_and_never_a_guest(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    welcome(monkeypatch, True)
    answer = await web.get(GUEST, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


async def test_where_guests_are_not_welcome_there_are_none(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    welcome(monkeypatch, False)
    assert (await web.get(GUEST)).status_code == 401
