from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import icalendar
import pytest
from sqlalchemy import update
from sqlmodel import col

from config.db import transaction
from config.settings import settings
from models.goals.goals import owner_of_goal
from models.goals.tables import Task, TaskStatus
from tests import inline
from tests.integration.goals.test_goals_api import make, planned


async def replanned(client: httpx.AsyncClient, goal_id: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/goals/{goal_id}/replan", json=body)
    assert answer.status_code == 202, answer.text
    inline.drain()
    told: dict[str, Any] = answer.json()
    return told


async def versions(client: httpx.AsyncClient, goal_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/goals/{goal_id}/plan/versions")).json()
    return found


async def milestones(client: httpx.AsyncClient, goal_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/goals/{goal_id}/milestones")).json()
    return found


async def finish_week(client: httpx.AsyncClient, goal_id: str, week: int) -> None:
    rows = await milestones(client, goal_id)
    with transaction() as session:
        which = col(Task.milestone_id) == rows[week - 1]["id"]
        session.execute(update(Task).where(which).values(status=TaskStatus.DONE))


async def test_planning_again_is_a_fork_that_keeps_finished_weeks_and_shows_what_differs(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, description="over 4 weeks")
    await finish_week(trusting, goal["id"], 1)
    await trusting.patch(f"/goals/{goal['id']}", json={"title": "Learn chess"})

    job = await replanned(trusting, goal["id"], wishes="Shorter sessions")
    proposal, live = await versions(trusting, goal["id"])

    assert job["forked_from"] == goal["job_id"]
    assert (proposal["version"], proposal["status"], proposal["forked_from"]) == (2, "proposed", 1)
    assert (live["version"], live["status"], live["diff"]) == (1, "live", [])
    assert [one["change"] for one in proposal["diff"]] == ["kept"] + ["changed"] * 3
    assert proposal["diff"][1]["before"] == goal["plan_json"]["milestones"][1]
    assert proposal["decisions"] == dict.fromkeys("234", "open")
    unchanged = (await trusting.get(f"/goals/{goal['id']}")).json()
    assert unchanged["plan_json"] == goal["plan_json"]


async def test_a_proposal_is_accepted_and_rejected_week_by_week(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, description="over 4 weeks")
    path = f"/goals/{goal['id']}"
    await finish_week(trusting, goal["id"], 1)
    before = await milestones(trusting, goal["id"])
    await trusting.patch(path, json={"title": "Learn chess"})
    await replanned(trusting, goal["id"])

    some = await trusting.post(f"{path}/plan/versions/2/accept", json={"weeks": [3]})
    rest = await trusting.post(f"{path}/plan/versions/2/reject", json={})
    late = await trusting.post(f"{path}/plan/versions/2/accept", json={"weeks": [2]})
    old = await trusting.post(f"{path}/plan/versions/1/accept", json={})

    assert some.json()["decisions"] == {"2": "open", "3": "accepted", "4": "open"}
    assert (rest.json()["status"], rest.json()["decisions"]["2"]) == ("live", "rejected")
    assert (late.status_code, old.status_code) == (422, 409)
    now = (await trusting.get(path)).json()
    assert now["plan_version"] == 2
    after = await milestones(trusting, goal["id"])
    changed = [was["title"] != is_["title"] for was, is_ in zip(before, after, strict=True)]
    assert changed == [False, False, True, False]
    assert after[0] == before[0]
    assert (after[2]["decision"], after[2]["version"]) == ("accepted", 2)
    assert [task["title"] for task in after[2]["tasks"]] == now["plan_json"]["milestones"][2][
        "tasks"
    ]


async def test_a_rejected_week_of_the_first_plan_has_nothing_left_to_do(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, description="over 2 weeks")

    await trusting.post(f"/goals/{goal['id']}/plan/versions/1/accept", json={"weeks": [1]})
    await trusting.post(f"/goals/{goal['id']}/plan/versions/1/reject", json={"weeks": [2]})
    first, second = await milestones(trusting, goal["id"])

    assert (first["decision"], second["decision"]) == ("accepted", "rejected")
    assert {task["status"] for task in first["tasks"]} == {"pending"}
    assert {task["status"] for task in second["tasks"]} == {"cancelled"}


async def test_decisions_that_make_no_sense_are_refused(trusting: httpx.AsyncClient) -> None:
    goal = await planned(trusting, description="over 2 weeks")
    path = f"/goals/{goal['id']}/plan/versions"
    await finish_week(trusting, goal["id"], 1)

    unknown = await trusting.post(f"{path}/7/accept", json={})
    beyond = await trusting.post(f"{path}/1/accept", json={"weeks": [3]})
    finished = await trusting.post(f"/goals/{goal['id']}/replan", json={"weeks": [1]})
    malformed = await trusting.post(f"{path}/one/accept", json={})

    assert [one.status_code for one in (unknown, beyond, finished, malformed)] == [
        404, 422, 422, 422,
    ]  # fmt: skip


async def test_a_goal_that_is_being_planned_is_not_planned_twice(
    trusting: httpx.AsyncClient,
) -> None:
    made = await make(trusting)

    answer = await trusting.post(f"/goals/{made['id']}/replan", json={})

    assert (answer.status_code, list(answer.json())) == (409, ["detail"])


async def test_a_goal_whose_planning_was_cancelled_can_be_planned_again(
    trusting: httpx.AsyncClient,
) -> None:
    made = await make(trusting)
    job = (await trusting.get(f"/goals/{made['id']}")).json()["job_id"]
    await trusting.post(f"/jobs/{job}/cancel", headers={"X-User-ID": made["user_id"]})

    await replanned(trusting, made["id"])

    goal = (await trusting.get(f"/goals/{made['id']}")).json()
    assert (goal["plan_version"], goal["plan_error"]) == (1, None)


async def test_a_fork_of_the_planning_job_is_a_version_more(trusting: httpx.AsyncClient) -> None:
    goal = await planned(trusting, description="over 4 weeks")

    asker = {"X-User-ID": goal["user_id"]}
    path = f"/jobs/{goal['job_id']}/fork"
    answer = await trusting.post(path, json={"step": "draft"}, headers=asker)
    assert answer.status_code == 202, answer.text
    inline.drain()

    again, first = await versions(trusting, goal["id"])
    assert (again["version"], again["status"], again["forked_from"]) == (2, "proposed", 1)
    assert again["job_id"] == answer.json()["id"]
    assert (first["version"], first["status"]) == (1, "live")


async def test_the_stream_shows_each_week_and_the_end(trusting: httpx.AsyncClient) -> None:
    goal = await planned(trusting, description="over 3 weeks")

    answer = await trusting.get(f"/goals/{goal['id']}/plan/stream")

    events = [line[7:] for line in answer.text.splitlines() if line.startswith("event: ")]
    assert [one for one in events if one != "token"] == ["week"] * 3 + ["done"]
    assert "token" in events


async def test_the_calendar_has_every_task_at_nine_whatever_the_season(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, description="over 52 weeks", time_zone="America/New_York")

    answer = await trusting.get(f"/goals/{goal['id']}/calendar.ics")
    calendar = icalendar.Calendar.from_ical(answer.content)

    assert answer.headers["content-type"].startswith("text/calendar")
    events = list(calendar.walk("VEVENT"))
    rows = await milestones(trusting, goal["id"])
    assert len(events) == sum(len(row["tasks"]) for row in rows)
    assert {event.decoded("dtstart").hour for event in events} >= {9}
    assert len({event.decoded("dtstart").astimezone(UTC).hour for event in events}) > 1
    assert {event.decoded("dtstart").weekday() for event in events} <= set(range(5))
    assert [zone["tzid"] for zone in calendar.walk("VTIMEZONE")] == ["America/New_York"]
    assert len({str(event["uid"]) for event in events}) == len(events)


async def test_a_calendar_can_be_subscribed_to_without_headers(
    trusting: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal, other = await planned(trusting), await planned(trusting)
    feed = (await trusting.post(f"/goals/{goal['id']}/calendar-token")).json()
    closed = settings.model_copy(update={"environment": "production"})
    monkeypatch.setattr("api.deps.settings", closed)

    opened = await trusting.get(feed["url"])
    elsewhere = await trusting.get(feed["url"].replace(goal["id"], other["id"]))
    forged = await trusting.get(feed["url"][:-4] + "AAAA")
    bare = await trusting.get(f"/goals/{goal['id']}/calendar.ics")

    assert opened.text.startswith("BEGIN:VCALENDAR")
    assert [one.status_code for one in (elsewhere, forged, bare)] == [401, 401, 401]


async def test_a_recurring_task_keeps_its_rule_in_the_calendar(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, description="over 1 weeks")
    with transaction() as session:
        session.add(
            Task(
                owner_id=await owner_of(goal),
                goal_id=goal["id"],
                title="Stretch",
                scheduled_at=datetime(2026, 11, 23, 8, tzinfo=UTC),
                recurrence_rule="FREQ=WEEKLY;BYDAY=MO,WE;COUNT=6",
                duration_minutes=15,
            )
        )

    answer = await trusting.get(f"/goals/{goal['id']}/calendar.ics")

    events = icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    (stretch,) = (event for event in events if str(event["summary"]) == "Stretch")
    assert stretch["rrule"].to_ical() == b"FREQ=WEEKLY;COUNT=6;BYDAY=MO,WE"


async def owner_of(goal: dict[str, Any]) -> Any:
    with transaction() as session:
        return owner_of_goal(session, UUID(goal["id"]))
