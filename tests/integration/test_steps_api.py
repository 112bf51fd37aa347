"""The plan of a job, page by page: a fan-out may be long, and what its steps return large."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.concurrency import run_in_threadpool

from tests.inline import drain
from tests.pipelines import Numbers, fan
from tests.stack import start

ITEMS = 5


@pytest.fixture
async def path(client: httpx.AsyncClient) -> str:
    """The steps of a job that has ended."""
    job_id: UUID = await run_in_threadpool(start, fan, Numbers(count=ITEMS))
    await run_in_threadpool(drain)
    return f"/jobs/{job_id}/steps"


async def pages(client: httpx.AsyncClient, url: str, **asked: Any) -> list[list[dict[str, Any]]]:
    answer = await client.get(url, params=asked)
    found = [answer.json()]
    while more := answer.links.get("next"):
        answer = await client.get(answer.url.join(more["url"]))
        found.append(answer.json())
    return found


async def test_pages_lead_from_one_to_the_next(client: httpx.AsyncClient, path: str) -> None:
    (whole,) = await pages(client, path)

    found = await pages(client, path, limit=2)

    assert [len(page) for page in found] == [2, 2, 2, 2, 2, 0]
    assert [one for page in found for one in page] == whole
    doubled = [one for one in whole if one["name"] == "double"]
    assert [one["item"] for one in doubled] == [f"n{number}" for number in range(ITEMS)]


async def test_what_steps_return_may_be_left_out(client: httpx.AsyncClient, path: str) -> None:
    (whole,) = await pages(client, path)

    found = [one for page in await pages(client, path, limit=4, output="false") for one in page]

    assert all(one["output"] for one in whole)
    assert found == [one | {"output": None} for one in whole]


async def test_a_page_after_a_step_of_another_job_is_not_taken_for_the_end(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, params={"after": str(uuid4())})

    assert (answer.status_code, answer.json()["code"]) == (404, "step_not_found")


@pytest.mark.parametrize("limit", [0, 1_001])
async def test_a_page_has_a_bound(client: httpx.AsyncClient, path: str, limit: int) -> None:
    assert (await client.get(path, params={"limit": limit})).status_code == 422
