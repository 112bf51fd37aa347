"""Webhooks from the row to a real receiver, whose signatures the specification's library checks."""

from uuid import UUID

import httpx
import pytest
from standardwebhooks import WebhookVerificationError
from starlette.concurrency import run_in_threadpool

from config.db import connection
from models.jobs import lifecycle
from tests.inline import drain
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.telling import URL, deliver, log, make, run


async def test_a_job_that_ends_is_told_with_a_good_signature(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)

    job = await run(client)
    await deliver()

    told = receiver.verified(hook["secret"])
    assert (told["type"], told["data"]["id"]) == ("job.succeeded", job["id"])
    assert (told["data"]["status"], told["data"]["pipeline"]) == ("succeeded", "tests.fan")
    ((path, headers, _),) = receiver.messages
    assert path == "/longrun?key=1"
    (entry,) = await log(client, hook)
    assert entry["id"] == headers["webhook-id"]
    assert (entry["status"], entry["attempts"][0]["status"]) == ("delivered", 204)
    with pytest.raises(WebhookVerificationError):
        receiver.verified("whsec_" + "A" * 43 + "=")


async def test_each_way_to_end_and_a_question_are_told(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    failed = await run(client, fail=["n0"])
    await client.post("/jobs/tests.asking", json={})
    degraded = (await client.post("/jobs/tests.tolerant", json={"count": 2, "fail": ["n0"]})).json()
    await run_in_threadpool(drain)
    stopped = (await client.post("/jobs/tests.fan", json={})).json()
    await client.post(f"/jobs/{stopped['id']}/cancel")

    await deliver()

    told = {one["event"]: one["job_id"] for one in await log(client, hook)}
    assert set(told) == {
        "job.failed", "job.waiting", "job.succeeded_degraded", "job.cancelled",
    }  # fmt: skip
    assert told["job.failed"] == failed["id"]
    assert told["job.succeeded_degraded"] == degraded["id"]
    assert len(receiver.messages) == 4
    errors = [receiver.verified(hook["secret"], place)["data"]["error"] for place in range(4)]
    assert "test_refused" in [error["code"] for error in errors if error]


async def test_a_message_exists_exactly_if_the_end_of_the_job_does(
    client: httpx.AsyncClient,
) -> None:
    hook = await make(client)
    job = (await client.post("/jobs/tests.fan", json={})).json()

    with connection() as conn:
        lifecycle.request_cancel(conn, UUID(job["id"]))
        conn.rollback()

    assert await log(client, hook) == []
    with connection() as conn:
        lifecycle.request_cancel(conn, UUID(job["id"]))
    assert [one["event"] for one in await log(client, hook)] == ["job.cancelled"]


async def test_only_what_was_asked_for_is_told(client: httpx.AsyncClient) -> None:
    failures = await make(client, events=["job.failed"])
    some = await make(client, every_job=False)

    await run(client)
    assert await log(client, failures) == await log(client, some) == []
    named = await run(client, f"?webhook={some['id']}")
    assert [one["job_id"] for one in await log(client, some)] == [named["id"]]


async def test_a_job_may_name_a_webhook_also_after_its_end(client: httpx.AsyncClient) -> None:
    hook = await make(client, every_job=False)
    job = await run(client)
    name = {"webhook_id": hook["id"]}

    for _ in range(2):
        assert (await client.post(f"/jobs/{job['id']}/webhooks", json=name)).status_code == 204

    assert [one["event"] for one in await log(client, hook)] == ["job.succeeded"]
    missing = await client.post("/jobs/tests.fan?webhook=" + job["id"], json={})
    assert (missing.status_code, missing.json()["code"]) == (404, "webhook_not_found")


async def test_while_a_secret_is_replaced_both_sign(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    path = f"/webhooks/{hook['id']}/rotate"
    second = (await client.post(path, json={})).json()["secret"]
    await run(client)
    await deliver()
    assert receiver.verified(hook["secret"]) == receiver.verified(second)

    third = (await client.post(path, json={"overlap_s": 0})).json()["secret"]
    await run(client)
    await deliver()

    assert receiver.verified(third)
    for old in (hook["secret"], second):
        with pytest.raises(WebhookVerificationError):
            receiver.verified(old)
    assert "secret" not in (await client.get(f"/webhooks/{hook['id']}")).json()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/x", "http://127.0.0.1:9000/", "http://[::1]/", "http://2130706433/",
        "http://0x7f.1/", "http://169.254.169.254/latest", "http://localhost/", "ftp://a.example/",
        "http://user:password@a.example/", "http://db.internal/", "http://a.example:22/",
        "nonsense",
    ],
)  # fmt: skip
async def test_a_private_address_is_refused_when_it_is_saved(
    client: httpx.AsyncClient, url: str
) -> None:
    answer = await client.post("/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_refused")
    hook = await make(client)
    changed = await client.patch(f"/webhooks/{hook['id']}", json={"url": url})
    assert (changed.status_code, changed.json()["code"]) == (422, "webhook_refused")


async def test_webhooks_and_deliveries_are_paged_and_deleted(client: httpx.AsyncClient) -> None:
    hooks = [(await make(client))["id"] for _ in range(3)]
    first = (await client.get("/webhooks?limit=2")).json()
    rest = (await client.get(f"/webhooks?limit=2&before={first['next']}")).json()
    assert [one["id"] for one in first["webhooks"] + rest["webhooks"]] == hooks[::-1]
    jobs = [(await run(client))["id"] for _ in range(3)]
    path = f"/webhooks/{hooks[0]}/deliveries"
    first = (await client.get(f"{path}?limit=2")).json()
    rest = (await client.get(f"{path}?limit=2&before={first['next']}")).json()
    found = [one["job_id"] for one in first["deliveries"] + rest["deliveries"]]
    assert found == jobs[::-1]
    assert (await client.get(f"{path}?status=failed")).json()["deliveries"] == []

    assert (await client.delete(f"/webhooks/{hooks[0]}")).status_code == 204
    assert (await client.get(path)).json()["code"] == "webhook_not_found"


async def test_nobody_has_more_webhooks_than_allowed(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.webhooks.keeping.WEBHOOKS_AT_MOST", 1)
    await make(client)
    answer = await client.post("/webhooks", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")
