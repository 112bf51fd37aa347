import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest

from models.base import now
from tests.integration.goals.conftest import USER

HOUR = timedelta(hours=1)


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


async def add(client: httpx.AsyncClient, title: str = "Run", **more: Any) -> dict[str, Any]:
    body = {"title": title, "scheduled_at": (now() + 30 * HOUR).isoformat()} | more
    answer = await client.post("/tasks", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_tasks_are_listed_by_page_status_and_goal(client: httpx.AsyncClient) -> None:
    made = [(await add(client, f"Task {number}"))["id"] for number in range(3)]

    first = (await client.get("/tasks", params={"limit": 2})).json()
    rest = (await client.get("/tasks", params={"limit": 2, "after": first["next"]})).json()
    done = (await client.get("/tasks", params={"status": "done"})).json()
    other = (await client.get("/tasks", params={"goal_id": str(uuid4())})).json()

    assert [one["id"] for one in first["tasks"] + rest["tasks"]] == made
    assert rest["next"] is None
    assert done["tasks"] == other["tasks"] == []


async def test_many_tasks_are_changed_together_or_not_at_all(client: httpx.AsyncClient) -> None:
    made = [(await add(client, f"Task {number}"))["id"] for number in range(3)]
    changes: list[dict[str, Any]] = [{"id": one, "status": "done"} for one in made]

    missing = await client.patch(
        "/tasks", json={"updates": [*changes, {"id": str(uuid4()), "status": "done"}]}
    )
    assert missing.status_code == 404
    assert {one["status"] for one in (await client.get("/tasks")).json()["tasks"]} == {"pending"}
    changed = await client.patch(
        "/tasks", json={"updates": [{**changes[0], "title": "Walk"}, *changes[1:]]}
    )

    told = changed.json()
    assert (changed.status_code, told["updated"]) == (200, 3)
    assert [one["id"] for one in told["tasks"]] == made
    assert told["tasks"][0]["title"] == "Walk"
    assert all(one["status"] == "done" and one["completed_at"] for one in told["tasks"])


@pytest.mark.parametrize("count", [0, 101])
async def test_a_bulk_update_has_from_1_to_100_tasks(client: httpx.AsyncClient, count: int) -> None:
    body = {"updates": [{"id": str(uuid4()), "status": "done"} for _ in range(count)]}
    answer = await client.patch("/tasks", json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"title": ""}, {"title": "x" * 501}, {"duration_minutes": 0}, {"duration_minutes": 1441},
        {"scheduled_at": "0001-01-01T00:00:00Z"}, {"scheduled_at": "9999-12-31T23:59:59-12:00"},
        {"scheduled_at": "2026-02-30T10:00:00Z"}, {"recurrence_rule": "FREQ=SECONDLY"},
        {"trigger_type": "mood"}, {"trigger_type": "location"}, {"scheduled_at": None},
        {"title": "a\x00b"},
    ],
)  # fmt: skip
async def test_a_task_that_cannot_be_is_422(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    body = {"title": "Run", "scheduled_at": "2040-01-01T10:00:00Z"} | change
    answer = await client.post("/tasks", json=body)
    assert answer.status_code == 422, answer.text
    assert "detail" in answer.json()


async def test_the_same_task_is_not_changed_twice_at_once(client: httpx.AsyncClient) -> None:
    task = (await add(client))["id"]
    body = {"updates": [{"id": task, "title": "A"}, {"id": task, "title": "B"}]}
    assert (await client.patch("/tasks", json=body)).status_code == 422


async def test_a_task_at_a_place_recurs_only_once_it_has_a_time(client: httpx.AsyncClient) -> None:
    place = {"trigger_type": "location", "location_trigger": "shop", "scheduled_at": None}
    task = await add(client, "Buy milk", **place)
    change = {"id": task["id"], "recurrence_rule": "FREQ=DAILY"}

    refused = await client.patch("/tasks", json={"updates": [change]})
    change["scheduled_at"] = "2040-07-02T10:00:00Z"
    taken = await client.patch("/tasks", json={"updates": [change]})

    assert (task["scheduled_at"], refused.status_code, taken.status_code) == (None, 422, 200)


async def test_a_recurring_task_that_is_done_goes_on(client: httpx.AsyncClient) -> None:
    begin = "2040-07-02T10:00:00Z"
    task = await add(client, scheduled_at=begin, recurrence_rule="freq=daily;count=2")

    async def done() -> list[tuple[str, str, str | None]]:
        update = {"updates": [{"id": task["id"], "status": "done"}]}
        assert (await client.patch("/tasks", json=update)).status_code == 200
        found = (await client.get("/tasks")).json()["tasks"]
        return sorted((one["scheduled_at"], one["status"], one["recurrence_rule"]) for one in found)

    assert await done() == [
        ("2040-07-02T10:00:00Z", "done", None),
        ("2040-07-03T10:00:00Z", "pending", "FREQ=DAILY;COUNT=1"),
    ]
    assert await done() == [
        ("2040-07-02T10:00:00Z", "done", None),
        ("2040-07-03T10:00:00Z", "done", None),
    ]


async def test_the_calendar_shows_each_time_of_a_recurring_task(client: httpx.AsyncClient) -> None:
    zone = {"time_zone": "Europe/Berlin"}
    assert (await client.put("/scheduler/preferences", json=zone)).json()[
        "time_zone"
    ] == "Europe/Berlin"
    await add(client, scheduled_at="2040-03-19T18:00:00", recurrence_rule="FREQ=WEEKLY")
    await add(client, "Once", scheduled_at="2040-03-20T18:00:00+01:00")

    answer = await client.get(
        "/scheduler/tasks", params={"from": "2040-03-20T00:00:00", "to": "2040-04-03T00:00:00"}
    )

    once, weekly = answer.json()["tasks"]
    assert once["task_title"] == "Once"
    assert (once["start"], once["end"]) == ("2040-03-20T17:00:00Z", "2040-03-20T18:00:00Z")
    assert weekly["occurrences"] == ["2040-03-26T16:00:00Z", "2040-04-02T16:00:00Z"]  # summer time
    for wrong in (
        {"from": "2040-03-20", "to": "2041-03-20"},
        {"from": "2040-03-20", "to": "2040-03-19"},
    ):
        assert (await client.get("/scheduler/tasks", params=wrong)).status_code == 422


async def test_suggestions_keep_clear_of_what_is_planned_sleep_and_work(
    client: httpx.AsyncClient,
) -> None:
    zone = ZoneInfo("America/New_York")
    days = {
        "time_zone": "America/New_York", "sleep_start": "22:00", "sleep_end": "08:00",
        "work_start": "09:30", "work_end": "17:30", "work_days": [0, 1, 2, 3, 4, 5, 6],
    }  # fmt: skip
    await client.put("/scheduler/preferences", json=days)
    evening = (now().astimezone(zone) + timedelta(days=1)).replace(hour=18, minute=0, second=0)
    planned = evening.replace(microsecond=0)
    task = await add(client, scheduled_at=planned.isoformat())
    dinner = (planned - timedelta(days=2)).isoformat()
    await add(client, "Dinner", scheduled_at=dinner, recurrence_rule="FREQ=DAILY")

    answer = await client.post("/scheduler/suggest", json={"event_id": task["id"]})

    told = answer.json()
    assert set(told) == {"event_id", "task_title", "suggestions", "skip_option", "ai_message"}
    assert (told["event_id"], told["task_title"], told["skip_option"]) == (task["id"], "Run", True)
    assert 1 <= len(told["suggestions"]) <= 3
    for one in told["suggestions"]:
        start, end = (at(one[name]).astimezone(zone) for name in ("new_start", "new_end"))
        assert end - start == HOUR
        assert start.minute in (0, 30)
        assert start.hour == 8 or (start.hour, start.minute) >= (17, 30)
        assert (end.hour, end.minute) <= (22, 0)
        assert not (17, 0) <= (start.hour, start.minute) <= (19, 0)  # dinner
        assert one["label"]
        assert one["rationale"]
    assert told["ai_message"].startswith("“Run” could be done ")


async def test_a_suggestion_can_be_taken_and_then_is_gone(client: httpx.AsyncClient) -> None:
    task, rival = await add(client, "Run"), await add(client, "Swim")
    told = (await client.post("/scheduler/suggest", json={"event_id": task["id"]})).json()
    slot = {name: told["suggestions"][0][name] for name in ("new_start", "new_end")}

    answers = await asyncio.gather(
        *(
            client.post(
                "/scheduler/apply", json={"event_id": one["id"], "action": "reschedule"} | slot
            )
            for one in (task, rival)
        )
    )

    assert sorted(one.status_code for one in answers) == [200, 409]
    (taken,) = (one.json() for one in answers if one.status_code == 200)
    assert taken["status"] == "rescheduled"
    assert at(taken["task"]["scheduled_at"]) == at(slot["new_start"])


async def test_a_skipped_task_is_cancelled_and_a_recurring_one_goes_on(
    client: httpx.AsyncClient,
) -> None:
    single = await add(client)
    weekly = await add(client, scheduled_at="2040-07-02T10:00:00Z", recurrence_rule="FREQ=WEEKLY")

    answers = [
        await client.post("/scheduler/apply", json={"event_id": one["id"], "action": "skip"})
        for one in (single, weekly)
    ]
    again = await client.post("/scheduler/apply", json={"event_id": single["id"], "action": "skip"})

    assert [one.json()["status"] for one in answers] == ["cancelled", "cancelled"]
    assert again.status_code == 409
    rows = {one["id"]: one for one in (await client.get("/tasks")).json()["tasks"]}
    assert rows[weekly["id"]]["scheduled_at"] == "2040-07-09T10:00:00Z"
    assert rows[weekly["id"]]["status"] == "pending"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"new_start": None}, 422),
        ({"new_start": "2020-01-01T10:00:00Z"}, 422),
        ({"new_end": "2040-07-02T09:00:00Z"}, 422),
        ({"new_end": "2040-07-09T09:00:00Z"}, 422),
        ({"action": "postpone"}, 422),
        ({"event_id": "no"}, 422),
        ({"event_id": str(uuid4())}, 404),
    ],
)
async def test_what_cannot_be_applied_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    task = await add(client)
    body = {
        "event_id": task["id"], "action": "reschedule", "new_start": "2040-07-02T10:00:00Z",
        "new_end": "2040-07-02T11:00:00Z",
    }  # fmt: skip
    answer = await client.post("/scheduler/apply", json=body | change)
    assert answer.status_code == status, answer.text
    assert "detail" in answer.json()


@pytest.mark.parametrize(
    "change",
    [
        {"time_zone": "Mars/Olympus"}, {"time_zone": "../etc/passwd"}, {"time_zone": "A\x00"},
        {"sleep_start": "25:00"}, {"sleep_start": "22:00+02:00"}, {"work_days": [7]},
    ],
)  # fmt: skip
async def test_days_that_cannot_be_are_422(
    client: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await client.put("/scheduler/preferences", json={"time_zone": "UTC"} | change)
    assert answer.status_code == 422


async def test_behind_a_trusted_gateway_the_documents_requests_are_enough(
    trusting: httpx.AsyncClient,
) -> None:
    named = {"X-User-ID": USER}
    body = {"title": "Run", "scheduled_at": (now() + 30 * HOUR).isoformat()}
    task = (await trusting.post("/tasks", json=body, headers=named)).json()

    listed = (await trusting.get("/scheduler/tasks", params={"user_id": USER})).json()["tasks"]
    suggested = await trusting.post("/scheduler/suggest", json={"event_id": task["id"]})
    stranger = await trusting.post(
        "/scheduler/suggest", json={"event_id": task["id"]}, headers={"X-User-ID": "another"}
    )

    assert [one["event_id"] for one in listed] == [task["id"]]
    assert (suggested.status_code, stranger.status_code) == (200, 404)
    assert at(suggested.json()["suggestions"][0]["new_start"]) > datetime.now(UTC)
