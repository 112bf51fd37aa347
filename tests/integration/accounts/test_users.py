"""The users' own records: dining's, kept by a service, and scenes', kept by themselves."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.accounts.conftest import SERVICE
from tests.integration.accounts.people import execute, join, sign_up

ITEM = {
    "name": "A lamp",
    "description": "It glows.",
    "icon_url": "https://files.example/lamp.png",
    "effects": [
        {
            "target": "self", "type": "mood", "value": 2, "description": "Calms.",
            "duration": 3, "probability": 0.5,
        }
    ],
    "tags": ["light"],
}  # fmt: skip
SKILL = ITEM | {"category": "craft", "cooldown": 2, "requirements": ["a flint"]}


async def test_a_diner_is_made_once(web: httpx.AsyncClient) -> None:
    uid = str(uuid4())
    body = {"email": "user@example.com"}

    first = await web.post(f"/users/{uid}", json=body, headers=SERVICE)
    again = await web.post(f"/users/{uid}", json=body, headers=SERVICE)
    told = await web.get(f"/users/{uid}", headers=SERVICE)

    assert (first.status_code, first.json()) == (201, {"uid": uid, "created": True})
    assert (again.status_code, again.json()) == (200, {"uid": uid, "created": False})
    assert told.json() == {
        "uid": uid,
        "preferences": {
            "dietary": [], "vibes": [], "cuisine_affinity": [], "cuisine_aversion": [],
            "price_comfort": [],
        },
        "allergies": {"confirmed": [], "severity": {}},
        "allergy_flags": [],
        "dietary_flags": [],
        "interaction_count": 0,
        "last_active_at": None,
    }  # fmt: skip


async def test_whoever_signs_up_is_a_diner_already(web: httpx.AsyncClient) -> None:
    uid = (await sign_up(web, "asha"))["id"]

    answer = await web.post(f"/users/{uid}", json={"email": "x@example.org"}, headers=SERVICE)

    assert (answer.status_code, answer.json()["created"]) == (200, False)


async def test_preferences_merge_deeply_and_arrays_unite(web: httpx.AsyncClient) -> None:
    uid = str(uuid4())
    await web.post(f"/users/{uid}", json={"email": "user@example.com"}, headers=SERVICE)
    path = f"/users/{uid}/preferences"
    first = {"dietary": ["vegetarian"], "seat": {"where": "window", "with": ["child"]}}
    then = {"dietary": ["vegan", "vegetarian"], "seat": {"with": ["dog"], "quiet": True}}

    await web.patch(path, json=first, headers=SERVICE)
    merged = (await web.patch(path, json=then, headers=SERVICE)).json()["preferences"]
    told = (await web.get(f"/users/{uid}", headers=SERVICE)).json()

    assert merged["dietary"] == ["vegetarian", "vegan"] == told["dietary_flags"]
    assert merged["seat"] == {"where": "window", "with": ["child", "dog"], "quiet": True}
    assert merged["vibes"] == []
    assert merged == told["preferences"]


@pytest.mark.parametrize(
    "body", [b"[]", b"7", b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b'{"a": NaN}', b"{"]
)
async def test_preferences_that_cannot_be_kept_are_422(web: httpx.AsyncClient, body: bytes) -> None:
    uid = uuid4()
    await web.post(f"/users/{uid}", json={}, headers=SERVICE)

    answer = await web.patch(
        f"/users/{uid}/preferences",
        content=body,
        headers=SERVICE | {"Content-Type": "application/json"},
    )

    assert answer.status_code == 422
    assert answer.json()["detail"][0].keys() == {"loc", "msg", "type"}


async def test_preferences_do_not_grow_without_end(web: httpx.AsyncClient) -> None:
    uid = uuid4()
    await web.post(f"/users/{uid}", json={}, headers=SERVICE)
    path = f"/users/{uid}/preferences"

    fits = await web.patch(path, json={"vibes": ["x" * 40_000]}, headers=SERVICE)
    over = await web.patch(path, json={"vibes": ["y" * 40_000]}, headers=SERVICE)

    assert (fits.status_code, over.status_code) == (200, 422)


async def test_a_deleted_diner_is_gone_and_the_account_is_not(web: httpx.AsyncClient) -> None:
    uid, headers = await join(web, "asha")

    first = await web.delete(f"/users/{uid}", headers=SERVICE)
    again = await web.delete(f"/users/{uid}", headers=SERVICE)
    read = await web.get(f"/users/{uid}", headers=SERVICE)

    assert (first.status_code, first.content) == (204, b"")
    assert (again.status_code, again.json()) == (
        404, {"detail": "User not found", "code": "NOT_FOUND"},
    )  # fmt: skip
    assert read.status_code == 404
    assert (await web.get("/v1/auth/me", headers=headers)).status_code == 200


async def test_a_deleted_account_leaves_nothing(web: httpx.AsyncClient) -> None:
    uid, headers = await join(web, "asha")
    await web.post(f"/api/users/{uid}/items", json=ITEM, headers=headers)
    await web.post(f"/api/users/{uid}/skills", json=SKILL, headers=headers)
    await web.get(f"/api/users/{uid}", headers=headers)

    execute('DELETE FROM "user"')

    for table in ("diner", "scenes_profile", "scenes_user_item", "scenes_user_skill", "job"):
        assert execute(f"SELECT count(*) FROM {table}") == [(0,)], table


@pytest.mark.parametrize("token", [None, "", "wrong", "schlüssel"])
async def test_only_the_service_keeps_diners(web: httpx.AsyncClient, token: str | None) -> None:
    uid, mine = await join(web, "asha")
    headers = [(name.encode(), value.encode()) for name, value in mine.items()]
    if token is not None:
        headers.append((b"X-Service-Token", token.encode("latin-1")))

    for method, path in (
        ("GET", ""), ("POST", ""), ("DELETE", ""), ("PATCH", "/preferences"),
    ):  # fmt: skip
        answer = await web.request(method, f"/users/{uid}{path}", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def test_a_player_changes_what_they_say_and_keeps_the_rest(web: httpx.AsyncClient) -> None:
    uid, headers = await join(web, "asha")
    path = f"/api/users/{uid}"

    await web.put(path, json={"display_name": "Asha", "bio": "Reads."}, headers=headers)
    await web.put(path, json={"bio": "Writes."}, headers=headers)
    told = (await web.get(path, headers=headers)).json()

    assert told["success"] is True
    assert set(told) == {"success", "data", "message", "timestamp", "request_id"}
    assert (told["data"]["id"], told["data"]["username"]) == (uid, "asha")
    assert (told["data"]["display_name"], told["data"]["bio"]) == ("Asha", "Writes.")
    assert "password" not in str(told)


async def test_preferences_have_defaults_and_known_values(web: httpx.AsyncClient) -> None:
    uid, headers = await join(web, "asha")
    path = f"/api/users/{uid}/preferences"

    before = (await web.get(path, headers=headers)).json()["data"]
    await web.put(path, json={"dark_mode": True}, headers=headers)
    after = await web.put(path, json={"creativity_level": "STRICT"}, headers=headers)
    wrong = await web.put(path, json={"creativity_level": "WILD"}, headers=headers)

    assert before["creativity_level"] == "BALANCED"
    assert after.json()["data"] == before | {"dark_mode": True, "creativity_level": "STRICT"}
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(("kind", "body"), [("items", ITEM), ("skills", SKILL)])
async def test_items_and_skills_are_made_changed_and_thrown_away(
    web: httpx.AsyncClient, kind: str, body: dict[str, Any]
) -> None:
    uid, headers = await join(web, "asha")
    path = f"/api/users/{uid}/{kind}"

    made = await web.post(path, json=body, headers=headers)
    one = f"{path}/{made.json()['data']['id']}"
    changed = await web.put(one, json=body | {"name": "Another"}, headers=headers)
    listed = (await web.get(path, headers=headers)).json()["data"]
    read = (await web.get(one, headers=headers)).json()["data"]
    gone = await web.delete(one, headers=headers)
    missing = await web.get(one, headers=headers)

    assert made.status_code == 201
    assert made.json()["data"].items() >= body.items()
    assert changed.json()["data"]["name"] == "Another"
    assert listed == [read]
    assert gone.status_code == 200
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_player_meets_403_at_somebody_elses_path(web: httpx.AsyncClient) -> None:
    asha, headers = await join(web, "asha")
    _, bela = await join(web, "bela")
    item = await web.post(f"/api/users/{asha}/items", json=ITEM, headers=headers)

    for path in ("", "/preferences", "/items", f"/items/{item.json()['data']['id']}", "/skills"):
        foreign = await web.get(f"/api/users/{asha}{path}", headers=bela)
        nobody = await web.get(f"/api/users/{asha}{path}")
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (403, "FORBIDDEN")
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_somebody_elses_item_is_not_found_at_ones_own_path(web: httpx.AsyncClient) -> None:
    asha, headers = await join(web, "asha")
    bela, theirs = await join(web, "bela")
    item = (await web.post(f"/api/users/{asha}/items", json=ITEM, headers=headers)).json()["data"]

    for method in ("GET", "PUT", "DELETE"):
        path = f"/api/users/{bela}/items/{item['id']}"
        answer = await web.request(method, path, json=ITEM, headers=theirs)
        assert answer.status_code == 404
