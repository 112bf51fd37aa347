"""People who sign up and come in."""

from typing import Any

import httpx
from sqlalchemy import text

from config.db import connection

PASSWORD = "correct horse battery"


async def sign_up(web: httpx.AsyncClient, name: str, password: str = PASSWORD) -> dict[str, Any]:
    body = {"email": f"{name}@example.org", "username": name, "password": password}
    answer = await web.post("/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()["user"]
    return told


async def come_in(web: httpx.AsyncClient, name: str, password: str = PASSWORD) -> dict[str, str]:
    """The headers of somebody who has logged in."""
    answer = await web.post("/auth/login", json={"identifier": name, "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def join(web: httpx.AsyncClient, name: str) -> tuple[str, dict[str, str]]:
    """A new person's id and headers."""
    return (await sign_up(web, name))["id"], await come_in(web, name)


def execute(statement: str, **values: Any) -> list[Any]:
    with connection() as conn:
        found = conn.execute(text(statement), values)
        return list(found) if found.returns_rows else []
