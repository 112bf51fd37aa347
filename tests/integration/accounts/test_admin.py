"""The administration page, used as a browser would."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.db import transaction
from models.accounts import Role, create_account
from models.base import new_id
from tests.integration.accounts.people import PASSWORD, execute, join, sign_up
from tests.web import app

ROOT = Path(__file__).resolve().parents[3]


class Browser:
    """Keeps cookies, and fills in the hidden field of forms."""

    def __init__(self, web: httpx.AsyncClient) -> None:
        self.web = web

    async def get(self, path: str) -> httpx.Response:
        return await self.web.get(f"/admin{path}")

    async def post(self, path: str, fields: dict[str, str]) -> httpx.Response:
        page = await self.get("/login" if path == "/logout" else path)
        hidden = re.search(r'name="csrftoken" value="([^"]+)"', page.text)
        token = hidden.group(1) if hidden else self.web.cookies["starlette_admin_csrftoken"]
        return await self.web.post(f"/admin{path}", data=fields | {"csrftoken": token})

    async def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        return await self.post("/login", {"username": name, "password": password})

    async def act(self, table: str, name: str, *ids: str) -> httpx.Response:
        return await self.web.post(
            f"/admin/_api/{table}/action",
            params={"name": name, "pks": list(ids)},
            headers={"X-CSRFToken": self.web.cookies["starlette_admin_csrftoken"]},
        )


@pytest.fixture
async def browser(web: httpx.AsyncClient) -> AsyncIterator[Browser]:
    with transaction() as session:
        create_account(
            session, email="root@example.org", username="root", password=PASSWORD,
            role=Role.SUPERADMIN, verified=True,
        )  # fmt: skip
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield Browser(client)


def audit() -> list[tuple[Any, ...]]:
    rows = execute("SELECT actor, action, target, changes FROM audit_entry ORDER BY id")
    return [tuple(row) for row in rows]


async def user_id(name: str) -> str:
    ((found,),) = execute('SELECT id FROM "user" WHERE username = :name', name=name)
    return str(found)


async def test_nobody_gets_in_without_being_a_superadmin(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    await sign_up(web, "asha")

    closed = await browser.get("/")
    user = await browser.log_in("asha")
    wrong = await browser.log_in("root", "not the password")
    still = await browser.get("/user/list")

    assert closed.status_code == 303
    assert "/admin/login" in closed.headers["location"]
    assert (user.status_code, wrong.status_code) == (400, 400)
    assert "Invalid credentials" in user.text
    assert (still.status_code, audit()) == (303, [])


async def test_a_superadmin_sees_every_table_and_no_secret(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    await join(web, "asha")
    assert (await browser.log_in("root")).status_code == 303
    secrets = [
        value for (value,) in execute('SELECT password_hash FROM "user" WHERE username IS NOT NULL')
    ]
    secrets += [value for (value,) in execute("SELECT token_hash FROM access_token")]
    ((token_id,),) = execute("SELECT id FROM access_token LIMIT 1 OFFSET 1")
    asha = await user_id("asha")
    pages = [
        f"/{table}/list" for table in ("user", "token", "job", "book", "budget", "mail", "audit")
    ]
    pages += [
        "/",
        f"/user/detail?pk={asha}",
        f"/user/edit?pk={asha}",
        f"/token/detail?pk={token_id}",
    ]

    for path in ["/", *pages]:
        page = await browser.get(path)
        assert page.status_code == 200, path
        assert not [one for one in secrets if one in page.text or one[:30] in page.text]
        assert "rsms.me" not in page.text  # no page asks another server for anything
        assert "password_hash" not in page.text
        assert "token_hash" not in page.text
    assert "asha@example.org" in (await browser.get("/user/list")).text
    assert audit() == [("root", "login", "admin", {})]


async def test_a_change_is_made_and_remembered(web: httpx.AsyncClient, browser: Browser) -> None:
    _, headers = await join(web, "asha")
    await browser.log_in("root")

    edit = f"/user/edit?pk={await user_id('asha')}"
    answer = await browser.post(edit, {"role": "admin", "verified": "on"})

    assert answer.status_code == 303, answer.text
    assert audit()[1:] == [
        ("root", "edit", "user", {
            "role": ["user", "admin"], "verified": [False, True], "active": [True, False],
        })
    ]  # fmt: skip
    assert (await web.get("/v1/auth/me", headers=headers)).status_code == 403


async def test_what_is_not_in_the_form_cannot_be_changed(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    await sign_up(web, "asha")
    await browser.log_in("root")
    before = execute("SELECT email, password_hash FROM \"user\" WHERE username = 'asha'")

    edit = f"/user/edit?pk={await user_id('asha')}"
    fields = {"role": "user", "active": "on", "email": "x@y.org", "password_hash": "x"}
    await browser.post(edit, fields)

    assert execute("SELECT email, password_hash FROM \"user\" WHERE username = 'asha'") == before


@pytest.mark.parametrize("fields", [{"role": "user", "active": "on"}, {"role": "superadmin"}])
async def test_the_last_superadmin_stays(browser: Browser, fields: dict[str, str]) -> None:
    await browser.log_in("root")

    answer = await browser.post(f"/user/edit?pk={await user_id('root')}", fields)

    assert answer.status_code == 422
    assert "This is the last superadmin" in answer.text
    assert execute('SELECT role, active FROM "user" WHERE username IS NOT NULL') == [
        ("superadmin", True)
    ]
    assert len(audit()) == 1


async def test_a_form_without_its_token_is_refused(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    await sign_up(web, "asha")
    await browser.log_in("root")
    path = f"/admin/user/edit?pk={await user_id('asha')}"

    bare = await browser.web.post(path, data={"role": "superadmin"})
    forged = await browser.web.post(path, data={"role": "superadmin", "csrftoken": "forged"})
    login = await browser.web.post("/admin/login", data={"username": "root", "password": PASSWORD})

    assert (bare.status_code, forged.status_code, login.status_code) == (403, 403, 403)
    assert execute("SELECT role FROM \"user\" WHERE username = 'asha'") == [("user",)]


async def test_a_logout_ends_the_token_of_the_cookie(browser: Browser) -> None:
    await browser.log_in("root")
    kept = dict(browser.web.cookies)

    await browser.post("/logout", {})

    browser.web.cookies.update(kept)
    assert (await browser.get("/")).status_code == 303


async def test_a_demoted_superadmin_is_out_at_once(browser: Browser) -> None:
    await browser.log_in("root")
    execute("UPDATE \"user\" SET role = 'admin'")

    assert (await browser.get("/user/list")).status_code == 303


async def test_jobs_are_cancelled_and_tokens_revoked_from_here(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    _, headers = await join(web, "asha")
    await browser.log_in("root")
    ((job_id, token_id),) = execute(
        'SELECT j.id, t.id FROM job j, access_token t JOIN "user" u ON u.id = t.user_id '
        "WHERE u.username = 'asha'"
    )

    stopped = await browser.act("job", "cancel", str(job_id))
    ended = await browser.act("token", "revoke", str(token_id))

    assert (stopped.status_code, ended.status_code) == (200, 200)
    assert execute("SELECT status FROM job") == [("cancelled",)]
    assert (await web.get("/v1/auth/me", headers=headers)).status_code == 401
    assert [row[:3] for row in audit()[1:]] == [
        ("root", "cancel", "job"), ("root", "revoke", "token"),
    ]  # fmt: skip


def test_the_first_superadmin_is_made_by_a_command(database_url: str) -> None:
    def run(password: str, *who: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api.superadmin", *who],
            cwd=ROOT,
            input=password,
            capture_output=True,
            text=True,
            check=False,
        )

    weak = run("short", "root@example.org", "root")
    made = run(f"{PASSWORD}\n", "root@example.org", "root")
    again = run("", "root@example.org", "root")
    other = run(f"{PASSWORD}\n", "root@example.org", "somebody")

    assert [one.returncode for one in (weak, made, again, other)] == [1, 0, 0, 1]
    assert "at least 8 characters" in weak.stderr
    assert "registered" in other.stderr
    assert execute('SELECT username, role, verified FROM "user" WHERE username IS NOT NULL') == [
        ("root", "superadmin", True)
    ]
    assert [row[:3] for row in audit()] == [("the command line", "promote", "user")] * 2


async def test_nothing_is_made_or_deleted_here(web: httpx.AsyncClient, browser: Browser) -> None:
    await sign_up(web, "asha")
    await browser.log_in("root")

    made = await browser.get("/user/create")
    deleted = await browser.act("user", "delete", await user_id("asha"))

    assert made.status_code == 403
    assert deleted.status_code in (400, 403)
    assert execute('SELECT count(*) FROM "user" WHERE username IS NOT NULL') == [(2,)]


async def test_a_budget_is_given_changed_and_taken_away(
    web: httpx.AsyncClient, browser: Browser
) -> None:
    asha, _ = await join(web, "asha")
    await browser.log_in("root")

    wrong = {"owner_id": asha, "daily_usd": "0", "monthly_usd": "-3"}
    refused = await browser.post("/budget/create", wrong)
    nobody = await browser.post("/budget/create", {"owner_id": str(new_id()), "daily_usd": "1"})
    made = await browser.post("/budget/create", {"owner_id": asha, "daily_usd": "2.50"})
    edited = await browser.post(f"/budget/edit?pk={asha}", {"daily_usd": "", "monthly_usd": "9"})
    kept = execute("SELECT daily_usd, monthly_usd FROM budget")
    await browser.act("budget", "delete", asha)

    assert (refused.status_code, nobody.status_code) == (422, 422)
    assert "A budget is more than nothing" in refused.text
    assert (made.status_code, edited.status_code) == (303, 303)
    assert [tuple(row) for row in kept] == [(None, 9)]
    assert execute("SELECT FROM budget") == []
    assert [(action, target) for _, action, target, _ in audit()[1:]] == [
        ("create", "budget"), ("edit", "budget"), ("delete", "budget"),
    ]  # fmt: skip
