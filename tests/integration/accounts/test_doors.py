"""Control's, scenes' and dining's doors open the same account."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from starlette.concurrency import run_in_threadpool

from config.settings import settings
from tests.inline import drain
from tests.integration.accounts.people import PASSWORD, come_in, execute, join, sign_up


async def test_one_account_opens_all_doors(web: httpx.AsyncClient) -> None:
    user = await sign_up(web, "asha")
    execute('UPDATE "user" SET verified = true')

    control = await web.post(
        "/auth/login", json={"email": "Asha@example.org", "password": PASSWORD}
    )
    scenes = await web.post("/api/auth/login", json={"username": "asha", "password": PASSWORD})
    body = {"email": "asha@example.org", "password": PASSWORD}
    dining = await web.post("/api/login/", json=body)

    told = control.json()
    assert (told["token_type"], told["expires_in"], told["user"]) == ("bearer", 28_800, user | {
        "is_verified": True
    })  # fmt: skip
    assert scenes.json()["success"] is True
    assert scenes.json()["data"]["user_id"] == user["id"]
    assert dining.json() == {"message": "Login successful", "auth_id": user["id"]}
    tokens = (
        told["access_token"],
        scenes.json()["data"]["token"],
        dining.headers["x-access-token"],
    )
    for token in tokens:
        me = await web.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json()["user"]["id"] == user["id"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"password": "1234567"}, 422, "weak_password"),
        ({"password": "x" * 1025}, 400, "invalid_password"),
        ({"email": "nobody"}, 400, "invalid_email"),
        ({"email": "a\x00@example.org"}, 400, "invalid_email"),
        ({"username": ""}, 400, "invalid_username"),
        ({"username": " padded "}, 400, "invalid_username"),
        ({"username": "n\x00l"}, 400, "invalid_username"),
        ({"username": "x" * 151}, 400, "invalid_username"),
        ({"username": 7}, 400, "invalid_payload"),
        ({"username": "other"}, 409, "duplicate_user"),
        ({"email": "ASHA@example.org"}, 409, "duplicate_user"),
    ],
)
async def test_control_refuses_in_its_own_words(
    web: httpx.AsyncClient, change: dict[str, Any], status: int, code: str
) -> None:
    await sign_up(web, "asha")
    await sign_up(web, "other")
    body = {"email": "new@example.org", "username": "new", "password": PASSWORD}

    answer = await web.post("/auth/register", json=body | change)

    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert isinstance(answer.json()["message"], str)


async def test_passwords_and_tokens_are_kept_as_hashes_only(web: httpx.AsyncClient) -> None:
    _, headers = await join(web, "asha")
    token = headers["Authorization"].removeprefix("Bearer ")

    ((stored,),) = execute('SELECT password_hash FROM "user" WHERE username IS NOT NULL')
    ((kept,),) = execute("SELECT row_to_json(access_token)::text FROM access_token")

    made = extract_parameters(stored)
    assert (made.type.name, made.time_cost, made.memory_cost, made.parallelism) == (
        "ID", 2, 19_456, 1,
    )  # fmt: skip
    assert token not in kept


async def test_a_login_renews_a_hash_of_other_parameters(web: httpx.AsyncClient) -> None:
    await sign_up(web, "asha")
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    execute('UPDATE "user" SET password_hash = :old', old=old)

    await come_in(web, "asha")

    ((stored,),) = execute('SELECT password_hash FROM "user" WHERE username IS NOT NULL')
    assert extract_parameters(stored).memory_cost == 19_456
    await come_in(web, "asha")


@pytest.mark.parametrize("name", ["asha", "nobody", "no\x00body", "provisioned"])
async def test_wrong_and_unknown_are_the_same_refusal(web: httpx.AsyncClient, name: str) -> None:
    await sign_up(web, "asha")
    execute(
        'INSERT INTO "user" (id, username, role, verified, active) '
        "VALUES (:id, 'provisioned', 'user', false, true)",
        id=uuid4(),
    )
    given = {"username": name, "password": "wrong password"}

    control = await web.post("/auth/login", json=given)
    scenes = await web.post("/api/auth/login", json=given)
    dining = await web.post("/api/login/", json={"email": name, "password": "wrong password"})

    assert (control.status_code, control.json()) == (
        401, {"error": "invalid_credentials", "message": "Invalid credentials"},
    )  # fmt: skip
    assert (scenes.status_code, scenes.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    assert set(scenes.json()) == {"success", "error", "timestamp", "request_id"}
    assert (dining.status_code, dining.json()) == (400, {"error": "Invalid credentials"})


async def test_a_login_without_a_name_or_password_is_a_bad_request(
    web: httpx.AsyncClient,
) -> None:
    answer = await web.post("/auth/login", json={"identifier": "asha"})

    assert (answer.status_code, answer.json()["error"]) == (400, "missing_credentials")


async def test_an_inactive_account_is_told_so_only_with_its_password(
    web: httpx.AsyncClient,
) -> None:
    _, headers = await join(web, "asha")
    execute('UPDATE "user" SET active = false')

    right = await web.post("/auth/login", json={"identifier": "asha", "password": PASSWORD})
    wrong = await web.post("/auth/login", json={"identifier": "asha", "password": "guess-guess"})
    inside = await web.get("/v1/auth/me", headers=headers)

    assert (right.status_code, right.json()["error"]) == (403, "account_inactive")
    assert wrong.status_code == 401
    assert (inside.status_code, inside.json()["error"]) == (403, "account_inactive")


async def test_a_closed_house_lets_nobody_sign_up(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = settings.accounts.model_copy(update={"registration": False})
    monkeypatch.setattr(
        "models.accounts.registration.settings",
        settings.model_copy(update={"accounts": closed}),
    )
    body = {"email": "a@example.org", "username": "asha", "password": PASSWORD}

    control = await web.post("/auth/register", json=body)
    dining = await web.post("/api/signup/", json=body)

    assert (control.status_code, control.json()["error"]) == (403, "self_registration_disabled")
    assert dining.status_code == 403


async def test_dining_signs_up_verifies_and_logs_in_as_its_document_says(
    web: httpx.AsyncClient,
) -> None:
    body = {"username": "asha", "email": "me@example.org", "password": "supersecret"}
    login = {"email": "me@example.org", "password": "supersecret"}

    signed = await web.post("/api/signup/", json=body)
    again = await web.post("/api/signup/", json=body | {"username": "other"})
    taken = await web.post("/api/signup/", json=body | {"email": "you@example.org"})
    malformed = await web.post("/api/signup/", json=body | {"email": "no"})
    early = await web.post("/api/login/", json=login)
    await run_in_threadpool(drain)
    ((letter,),) = execute("SELECT body FROM outbox_mail")
    (path,) = re.findall(r"/api/verify/[\w-]+/", letter)
    proved = await web.get(path)
    late = await web.get(path)
    logged_in = await web.post("/api/login/", json=login)

    assert (signed.status_code, signed.json()) == (
        200, {"message": "Signup successful. Please verify your email."},
    )  # fmt: skip
    assert (again.status_code, again.json()) == (400, {"error": "Email already registered"})
    assert (taken.status_code, taken.json()) == (400, {"error": "Username already taken"})
    assert (malformed.status_code, set(malformed.json())) == (422, {"error"})
    assert (early.status_code, early.json()) == (
        403, {"error": "Email not verified. Please check your inbox."},
    )  # fmt: skip
    assert (proved.status_code, proved.json()) == (
        200, {"message": "Email verified successfully. You can now log in."},
    )  # fmt: skip
    assert (late.status_code, late.json()) == (
        404, {"error": "Invalid or expired verification token"},
    )  # fmt: skip
    assert logged_in.status_code == 200
    assert execute("SELECT email FROM diner") == [("me@example.org",)]


async def test_requests_at_once_make_one_account(web: httpx.AsyncClient) -> None:
    body = {"email": "me@example.org", "username": "asha", "password": PASSWORD}

    answers = await asyncio.gather(*(web.post("/auth/register", json=body) for _ in range(4)))

    assert sorted(one.status_code for one in answers) == [201, 409, 409, 409]
