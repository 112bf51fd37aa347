from uuid import uuid4

import httpx
import pytest

from tests.integration.accounts.people import PASSWORD, come_in, execute, join, sign_up


async def test_a_person_lists_and_revokes_their_own_tokens(web: httpx.AsyncClient) -> None:
    await sign_up(web, "asha")
    first, second = await come_in(web, "asha"), await come_in(web, "asha")

    listed = (await web.get("/auth/tokens", headers=first)).json()["tokens"]
    newest = listed[0]["id"]
    gone = await web.delete(f"/auth/tokens/{newest}", headers=first)

    assert len(listed) == 2
    assert set(listed[0]) == {"id", "created_at", "expires_at", "last_used_at"}
    assert gone.json() == {"deleted": True, "token_id": newest}
    assert (await web.get("/v1/auth/me", headers=second)).status_code == 401
    assert (await web.get("/v1/auth/me", headers=first)).status_code == 200
    assert len((await web.get("/auth/tokens", headers=first)).json()["tokens"]) == 1


async def test_somebody_elses_token_cannot_be_revoked(web: httpx.AsyncClient) -> None:
    _, asha = await join(web, "asha")
    _, bela = await join(web, "bela")
    (mine,) = (await web.get("/auth/tokens", headers=asha)).json()["tokens"]

    foreign = await web.delete(f"/auth/tokens/{mine['id']}", headers=bela)
    unknown = await web.delete(f"/auth/tokens/{uuid4()}", headers=bela)

    assert (foreign.status_code, foreign.json()["error"]) == (404, "token_not_found")
    assert foreign.json() == unknown.json()
    assert (await web.get("/v1/auth/me", headers=asha)).status_code == 200


@pytest.mark.parametrize("path", ["/auth/logout", "/api/auth/logout"])
async def test_a_logout_ends_the_token_it_carries(web: httpx.AsyncClient, path: str) -> None:
    _, headers = await join(web, "asha")
    other = await come_in(web, "asha")

    assert (await web.post(path, headers=headers)).status_code == 200

    assert (await web.post(path, headers=headers)).status_code == 401
    assert (await web.get("/v1/auth/me", headers=headers)).status_code == 401
    assert (await web.get("/v1/auth/me", headers=other)).status_code == 200
    assert (await web.post(path)).status_code == 401


async def test_an_expired_token_opens_nothing_and_is_swept_away(web: httpx.AsyncClient) -> None:
    _, headers = await join(web, "asha")
    execute("UPDATE access_token SET expires_at = now() - interval '1 second'")

    answer = await web.get("/v1/auth/me", headers=headers)
    await come_in(web, "asha")

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert execute("SELECT count(*) FROM access_token") == [(1,)]


@pytest.mark.parametrize("sent", ["Basic abc", "Bearer", "Bearer  ", "nonsense", "Bearer \xe9"])
async def test_what_is_no_token_of_ours_is_401(web: httpx.AsyncClient, sent: str) -> None:
    answer = await web.get("/v1/auth/me", headers={b"Authorization": sent.encode("latin-1")})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_token_speaks_for_nobody_else(web: httpx.AsyncClient) -> None:
    _, asha = await join(web, "asha")
    bela, _ = await join(web, "bela")

    answer = await web.get("/v1/auth/me", headers=asha | {"X-User-ID": bela})

    assert answer.status_code == 401


async def test_a_last_use_is_remembered(web: httpx.AsyncClient) -> None:
    _, headers = await join(web, "asha")

    await web.get("/v1/auth/me", headers=headers)
    (listed,) = (await web.get("/auth/tokens", headers=headers)).json()["tokens"]

    assert listed["last_used_at"] >= listed["created_at"]
    assert PASSWORD not in str(listed)
