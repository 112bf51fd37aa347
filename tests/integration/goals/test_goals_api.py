from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests import inline
from tests.integration.goals.conftest import USER

WEDDING = {
    "title": "Get fit for my wedding",
    "description": "Lose 15 lbs and improve stamina over 12 weeks",
    "user_id": USER,
}


async def make(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/goals", json=WEDDING | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def planned(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    made = await make(client, **more)
    inline.drain()
    found: dict[str, Any] = (await client.get(f"/goals/{made['id']}")).json()
    assert found["plan_json"] is not None, found
    return found


async def test_a_goal_is_made_as_the_document_shows_it(trusting: httpx.AsyncClient) -> None:
    answer = await trusting.post("/goals", json=WEDDING)

    made = answer.json()
    assert answer.status_code == 201
    assert set(made) == {"id", "user_id", "title", "status", "created_at"}
    assert (made["user_id"], made["title"], made["status"]) == (USER, WEDDING["title"], "active")
    assert made["created_at"].endswith("Z")
    waiting = (await trusting.get(f"/goals/{made['id']}")).json()
    assert waiting["plan_json"] is None
    assert waiting["job_id"] == answer.headers["x-job-id"]


async def test_the_plan_has_the_weeks_that_the_words_name(trusting: httpx.AsyncClient) -> None:
    goal = await planned(trusting)

    milestones = goal["plan_json"]["milestones"]
    assert [one["week"] for one in milestones] == list(range(1, 13))
    assert all(3 <= len(one["tasks"]) <= 5 for one in milestones)
    assert all(isinstance(task, str) for one in milestones for task in one["tasks"])
    efforts = [one["effort"] for one in milestones]
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1]
    assert (goal["plan_json"]["source"], goal["plan_error"]) == ("offline", None)


async def test_the_plan_is_saved_as_milestones_and_tasks_on_working_days(
    trusting: httpx.AsyncClient,
) -> None:
    goal = await planned(trusting, time_zone="Europe/Berlin", description="over 2 weeks")

    rows = (await trusting.get(f"/goals/{goal['id']}/milestones")).json()
    assert [row["title"] for row in rows] == [
        one["title"] for one in goal["plan_json"]["milestones"]
    ]
    for row, told in zip(rows, goal["plan_json"]["milestones"], strict=True):
        assert [task["title"] for task in row["tasks"]] == told["tasks"]
        for task in row["tasks"]:
            assert row["starts_on"] <= task["scheduled_at"][:10] <= row["ends_on"]
            assert task["scheduled_at"][11:16] in ("07:00", "08:00")
            assert task["duration_minutes"] == 60


async def test_a_fourth_goal_waits_until_one_of_three_ends(trusting: httpx.AsyncClient) -> None:
    goals = [await planned(trusting, title=f"Goal {k}") for k in range(5)]

    assert [one["status"] for one in goals] == ["active"] * 3 + ["pipeline"] * 2
    assert [one["pipeline_order"] for one in goals[3:]] == [1, 2]
    assert (await trusting.get(f"/goals/{goals[3]['id']}/milestones")).json() == []
    done = await trusting.post(f"/goals/{goals[1]['id']}/complete")
    assert (done.json()["status"], done.json()["completed_at"] is not None) == ("completed", True)
    told = (await trusting.get("/goals", params={"user_id": USER})).json()
    assert [one["status"] for one in told] == [
        "pipeline", "active", "active", "completed", "active",
    ]  # fmt: skip
    assert (await trusting.get(f"/goals/{goals[3]['id']}/milestones")).json() != []


async def test_an_ended_goal_stays_ended(trusting: httpx.AsyncClient) -> None:
    goal = await planned(trusting)
    path = f"/goals/{goal['id']}"

    first = await trusting.post(f"{path}/abandon")
    again = await trusting.post(f"{path}/abandon")

    assert first.json() == again.json()
    for answer in (
        await trusting.post(f"{path}/complete"),
        await trusting.patch(path, json={"title": "Another"}),
        await trusting.post(f"{path}/replan", json={}),
    ):
        assert (answer.status_code, list(answer.json())) == (409, ["detail"])
    tasks = (await trusting.get(f"{path}/milestones")).json()[0]["tasks"]
    assert {task["status"] for task in tasks} == {"cancelled"}


async def test_a_goal_that_is_abandoned_is_planned_no_further(trusting: httpx.AsyncClient) -> None:
    made = await make(trusting)
    await trusting.post(f"/goals/{made['id']}/abandon")
    inline.drain()

    goal = (await trusting.get(f"/goals/{made['id']}")).json()
    assert (goal["plan_json"], goal["plan_error"]["code"]) == (None, "planning_cancelled")


async def test_a_goal_can_be_changed(trusting: httpx.AsyncClient) -> None:
    made = await make(trusting)

    answer = await trusting.patch(
        f"/goals/{made['id']}", json={"title": "Run", "target_weeks": 3, "class_tags": ["sport"]}
    )

    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["title"], changed["target_weeks"]) == ("Run", 3)
    assert changed["class_tags"] == ["sport"]
    assert changed["description"] == WEDDING["description"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 501},
        {"title": "a\0b"},
        {"title": None},
        {"user_id": ""},
        {"user_id": 7},
        {"description": "x" * 5001},
        {"target_weeks": 0},
        {"target_weeks": 500},
        {"description": "over 500 weeks"},
        {"description": "in 0 weeks"},
        {"target_date": "2026-02-31"},
        {"target_date": "2020-01-01"},
        {"time_zone": "Mars/Olympus"},
        {"parent_goal_id": "no-id"},
    ],
)
async def test_what_makes_no_goal_is_refused_and_says_why(
    trusting: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    answer = await trusting.post("/goals", json=WEDDING | wrong)

    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]
    assert answer.json()["detail"]
    assert (await trusting.get("/goals", params={"user_id": USER})).json() == []


async def test_unknown_goals_are_not_found_and_malformed_ids_refused(
    trusting: httpx.AsyncClient,
) -> None:
    for method, rest in (("GET", ""), ("GET", "/calendar.ics"), ("POST", "/abandon")):
        unknown = await trusting.request(method, f"/goals/{uuid4()}{rest}")
        malformed = await trusting.request(method, f"/goals/no-id{rest}")
        assert (unknown.status_code, malformed.status_code) == (404, 422)
        assert unknown.json() == {"detail": "There is no such goal."}
    parent = await trusting.post("/goals", json=WEDDING | {"parent_goal_id": str(uuid4())})
    assert parent.status_code == 404
    assert (await trusting.get("/goals", params={"user_id": "nobody"})).json() == []


async def test_somebody_elses_goal_is_not_found(trusting: httpx.AsyncClient) -> None:
    made = await make(trusting)

    mine = await trusting.get(f"/goals/{made['id']}", headers={"X-User-ID": USER})
    theirs = await trusting.get(f"/goals/{made['id']}", headers={"X-User-ID": "somebody-else"})

    assert (mine.status_code, theirs.status_code) == (200, 404)


async def test_nothing_is_planned_past_the_target_date(trusting: httpx.AsyncClient) -> None:
    from datetime import timedelta

    from models.base import now

    target = (now() + timedelta(days=10)).date().isoformat()
    goal = await planned(trusting, target_date=target)

    rows = (await trusting.get(f"/goals/{goal['id']}/milestones")).json()
    assert (goal["target_weeks"], len(rows)) == (2, 2)
    assert max(task["scheduled_at"][:10] for row in rows for task in row["tasks"]) <= target
