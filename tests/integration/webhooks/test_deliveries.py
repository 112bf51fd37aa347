"""Deliveries that fail: tried again, given up, repeated by hand, refused inside."""

from datetime import timedelta

import httpx
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool

from config.db import connection, transaction
from models.base import now
from models.webhooks import deliveries
from models.webhooks.tables import Outcome, WebhookDelivery
from tasks import outbox
from tests.inline import drain
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.telling import deliver, log, make, make_due, run


async def test_what_fails_is_sent_again_later_under_the_same_id(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    receiver.answers = [(500, {}), (429, {"Retry-After": "1000"}), (200, {})]
    await run(client)

    waits = []
    for _ in range(3):
        await deliver()
        (entry,) = await log(client, hook)
        waits.append(entry["next_attempt_at"])
        assert len(await log(client, hook)) == 1
        await run_in_threadpool(make_due) if entry["status"] == "pending" else None

    assert len(receiver.messages) == 3
    assert len(set(receiver.ids())) == 1
    assert [one["status"] for one in entry["attempts"]] == [500, 429, 200]
    assert (entry["status"], waits[2]) == ("delivered", None)
    assert (await client.get(f"/webhooks/{hook['id']}")).json()["failing_since"] is None


async def test_a_job_ends_without_waiting_for_outcomes_that_are_being_noted(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make(client)
    await run(client)
    row = await run_in_threadpool(pending)
    outcome = Outcome(delivery_id=row.id, at=now(), status=500, problem="Busy.")

    with transaction() as session:
        deliveries.note_outcomes(session, [outcome])
        session.flush()
        told = await run(client)  # would wait for ever

    assert told["status"] == "succeeded"


def pending() -> WebhookDelivery:
    with transaction() as session:
        row = session.connection().execute(text("SELECT id FROM webhook_delivery")).scalar_one()
        return session.get_one(WebhookDelivery, row)


async def test_retries_spread_over_days_and_end(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make(client)
    receiver.answers = [(503, {})]
    await run(client)

    waited = timedelta(0)
    for attempt in range(1, len(deliveries.BACKOFF_S) + 2):
        await deliver()
        row = await run_in_threadpool(pending)
        assert len(row.attempts) == attempt
        if row.next_attempt_at is not None:
            waited += row.next_attempt_at - now()
            await run_in_threadpool(make_due)

    assert row.status == "failed"
    assert timedelta(days=2) < waited < timedelta(days=4)


async def test_a_delivery_is_repeated_when_somebody_asks(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    await run(client)
    await deliver()
    (entry,) = await log(client, hook)

    path = f"/webhooks/{hook['id']}/deliveries/{entry['id']}/redeliver"
    assert (await client.post(path)).json()["status"] == "pending"
    await deliver()

    assert receiver.ids() == [entry["id"]] * 2
    wrong = await client.post(path.replace(entry["id"], hook["id"]))
    assert (wrong.status_code, wrong.json()["code"]) == (404, "delivery_not_found")


async def test_an_address_that_is_gone_is_told_nothing_more(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    receiver.answers = [(410, {}), (200, {})]
    await run(client)
    await deliver()
    await run(client)

    told = (await client.get(f"/webhooks/{hook['id']}")).json()
    assert told["disabled_at"]
    assert [one["status"] for one in await log(client, hook)] == ["failed"]
    await client.patch(f"/webhooks/{hook['id']}", json={"enabled": True})
    await run(client)
    await deliver()
    assert [one["status"] for one in await log(client, hook)] == ["delivered", "failed"]


async def test_an_address_that_fails_for_days_is_disabled(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client)
    receiver.answers = [(500, {})]
    for _ in range(2):
        await run(client)
    await deliver()
    with connection() as conn:
        conn.execute(text("UPDATE webhook SET failing_since = failing_since - interval '6 days'"))
    await run_in_threadpool(make_due)
    await deliver()

    assert (await client.get(f"/webhooks/{hook['id']}")).json()["disabled_at"]
    assert {one["status"] for one in await log(client, hook)} == {"failed"}


async def test_a_receiver_that_fails_is_asked_once_at_a_time(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make(client)
    receiver.answers = [(500, {})]
    await run(client)
    await deliver()
    for _ in range(4):
        await run(client)

    assert await run_in_threadpool(outbox.send_due) == 1
    assert await run_in_threadpool(outbox.send_due) == 0, "one is on its way"
    await run_in_threadpool(drain)
    assert len(receiver.messages) == 2


async def test_a_name_that_leads_inside_is_refused_when_it_is_used(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hook = await make(client, url="http://inside.example/")
    await run(client)
    await deliver()

    (entry,) = await log(client, hook)
    assert entry["status"] == "failed"
    assert "inside.example" in entry["attempts"][0]["problem"]
    assert receiver.messages == []
