"""Costs and budgets over HTTP, in the administration and in the metrics."""

from decimal import Decimal

import httpx
import pytest

from tests.inline import drain
from tests.integration.costs.conftest import Pay
from tests.integration.costs.paying import begin, thinking

CAPPED = "/jobs/tests.thinking"


async def test_the_cost_of_a_job_is_told_by_step_and_model(
    client: httpx.AsyncClient, pay: Pay
) -> None:
    pay(monthly_usd="0.5")
    job_id = begin(thinking, calls=2, budget_usd=Decimal("0.01"))
    drain()
    told = (await client.get(f"/jobs/{job_id}/cost")).json()

    assert told["total"] == {
        "calls": 3, "prompt_tokens": 7, "completion_tokens": 10, "cached_tokens": 0,
        "cost_microusd": 27, "unpriced": 0, "estimated": 0, "unsettled": 0,
    }  # fmt: skip
    assert [
        (line["step"], line["model"], line["calls"], line["cost_microusd"])
        for line in told["lines"]
    ] == [("think", "openai/plain", 2, 26), ("place", "openai/plain", 1, 1)]
    assert told["budgets"]["job"] == {
        "cap_microusd": 10_000, "spent_microusd": 27, "remaining_microusd": 9_973,
    }  # fmt: skip
    assert told["budgets"]["day"]["cap_microusd"] is None
    assert told["budgets"]["month"]["remaining_microusd"] == 499_973


async def test_the_cost_of_a_job_names_its_retries_and_forks(
    client: httpx.AsyncClient, pay: Pay
) -> None:
    job_id = begin(thinking, budget_usd=Decimal("0.01"))
    drain()
    again = (await client.post(f"/jobs/{job_id}/retry")).json()["id"]
    fork = (await client.post(f"/jobs/{job_id}/fork", json={"step": "place"})).json()["id"]
    drain()
    told = (await client.get(f"/jobs/{job_id}/cost")).json()
    assert [(one["job_id"], one["relation"], one["calls"]) for one in told["related"]] == [
        (again, "child", 2),
        (fork, "fork", 1),
    ]
    forked = (await client.get(f"/jobs/{fork}/cost")).json()["budgets"]["job"]
    assert (forked["cap_microusd"], forked["spent_microusd"]) == (10_000, 1)


async def test_a_job_is_started_with_a_budget_which_may_be_raised(
    client: httpx.AsyncClient, pay: Pay
) -> None:
    started = await client.post(CAPPED, params={"budget_usd": "0.000001"}, json={})
    job_id = started.json()["id"]
    drain()
    failed = (await client.get(f"/jobs/{job_id}")).json()
    assert failed["error"]["code"] == "budget_exceeded"

    raised = await client.put(f"/jobs/{job_id}/budget", json={"usd": 1})
    assert raised.json()["budgets"]["job"]["remaining_microusd"] == 1_000_000
    assert (await client.post(f"/jobs/{job_id}/resume")).status_code == 202
    drain()
    assert (await client.get(f"/jobs/{job_id}")).json()["status"] == "succeeded"


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000001", "1000001", "NaN", "much"])
async def test_a_budget_of_nothing_is_refused(
    client: httpx.AsyncClient, pay: Pay, amount: str
) -> None:
    started = await client.post(CAPPED, params={"budget_usd": amount}, json={})
    assert started.status_code == 422
    assert started.headers["content-type"] == "application/problem+json"
    changed = await client.put(f"/jobs/{begin(thinking)}/budget", json={"usd": amount})
    assert changed.status_code == 422


async def test_metrics_tell_cost_and_tokens_by_model(client: httpx.AsyncClient, pay: Pay) -> None:
    begin(thinking)
    drain()
    told = (await client.get("/metrics")).text
    which = 'model="openai/plain",purpose="chat"'
    assert f"longrun_model_calls_total{{{which}}} 1.0" in told
    assert f"longrun_model_cost_usd_total{{{which}}} 1.3e-05" in told
    tokens = f'longrun_model_tokens_total{{kind="completion",{which}}} 5.0'
    assert tokens in told
    assert "longrun_provider_limits_failed_open_total 0.0" in told
