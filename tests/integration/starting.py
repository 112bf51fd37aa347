"""Starting jobs over HTTP, by the names of their pipelines."""

from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool

from tests.inline import drain


async def started(client: httpx.AsyncClient, pipeline: str, **numbers: Any) -> dict[str, Any]:
    answer = await client.post(f"/jobs/{pipeline}", json=numbers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    told: dict[str, Any] = answer.json()
    return told


async def run(client: httpx.AsyncClient, pipeline: str, **numbers: Any) -> dict[str, Any]:
    told = await started(client, pipeline, **numbers)
    await run_in_threadpool(drain)
    found: dict[str, Any] = (await client.get(f"/jobs/{told['id']}")).json()
    return found
