"""What tests of webhooks do again and again."""

from typing import Any

import httpx
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from config.db import connection
from tasks import outbox
from tests.inline import drain

URL = "http://hooks.example/longrun?key=1"


async def make(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/webhooks", json={"url": URL} | fields)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def run(client: httpx.AsyncClient, query: str = "", **numbers: Any) -> dict[str, Any]:
    job = (await client.post(f"/jobs/tests.fan{query}", json={"count": 1} | numbers)).json()
    await run_in_threadpool(drain)
    return (await client.get(f"/jobs/{job['id']}")).json()  # type: ignore[no-any-return]


async def deliver() -> None:
    await run_in_threadpool(outbox.send_due)
    await run_in_threadpool(drain)


async def log(client: httpx.AsyncClient, hook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.get(f"/webhooks/{hook['id']}/deliveries")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


def make_due() -> None:
    with connection() as conn:
        conn.execute(text("UPDATE webhook_delivery SET next_attempt_at = now() - interval '1 s'"))
