import asyncio
from typing import Any

import httpx
import pytest

from tests import inline
from tests.integration.goals.conftest import USER

ANSWERS = ["8 weeks", "I have never run", "Run 10 km without a pause", "Not on Sundays"]


async def say(client: httpx.AsyncClient, ref: str, message: str) -> dict[str, Any]:
    asking = asyncio.create_task(client.post(f"/goals/{ref}/respond", json={"message": message}))
    while not asking.done():
        await asyncio.to_thread(inline.drain)
        await asyncio.sleep(0.05)
    answer = asking.result()
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def start(client: httpx.AsyncClient, message: str = "I want to run") -> dict[str, Any]:
    answer = await client.post("/goals/start", json={"user_id": USER, "message": message})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


async def shown_plan(client: httpx.AsyncClient) -> dict[str, Any]:
    told = await start(client)
    for message in ANSWERS:
        told = await say(client, told["conversation_id"], message)
    return told


async def test_a_conversation_leads_through_its_states_to_a_saved_goal(
    trusting: httpx.AsyncClient,
) -> None:
    told = await start(trusting)
    assert set(told) == {
        "conversation_id", "state", "message", "suggested_action", "plan", "goal_id",
    }  # fmt: skip
    states = [told["state"]]
    for message in ANSWERS:
        told = await say(trusting, told["conversation_id"], message)
        states.append(told["state"])

    assert states == [
        "GATHERING_TIMELINE", "GATHERING_CURRENT_STATE", "GATHERING_TARGET",
        "GATHERING_PREFERENCES", "PLAN_READY",
    ]  # fmt: skip
    assert len(told["plan"]["milestones"]) == 8
    assert told["goal_id"] is None
    assert (await trusting.get("/goals", params={"user_id": USER})).json() == []
    unclear = await say(trusting, told["conversation_id"], "Hm?")
    assert unclear["state"] == "AWAITING_CONFIRMATION"
    done = await say(trusting, told["conversation_id"], "Yes, please!")
    assert (done["state"], done["suggested_action"]) == ("CONFIRMED", "view_goal")
    goal = (await trusting.get(f"/goals/{done['goal_id']}")).json()
    assert (goal["title"], goal["user_id"]) == ("I want to run", USER)
    assert goal["plan_json"] == told["plan"]
    assert "Not on Sundays" in goal["description"]
    rows = (await trusting.get(f"/goals/{done['goal_id']}/milestones")).json()
    assert len(rows) == 8


async def test_a_change_is_a_fork_and_a_no_drops_the_plan(trusting: httpx.AsyncClient) -> None:
    told = await shown_plan(trusting)
    jobs = (await trusting.get("/jobs", headers={"X-User-ID": USER})).json()["jobs"]

    again = await say(trusting, told["conversation_id"], "Make it a little lighter, please")
    now = (await trusting.get("/jobs", headers={"X-User-ID": USER})).json()["jobs"]
    dropped = await say(trusting, told["conversation_id"], "no")

    assert [one["status"] for one in jobs] == ["waiting"]
    assert [(one["status"], one["forked_from"]) for one in now] == [
        ("waiting", jobs[0]["id"]), ("cancelled", None),
    ]  # fmt: skip
    assert (again["state"], dropped["state"], dropped["plan"]) == ("PLAN_READY", "IDLE", None)
    assert (await trusting.get("/goals", params={"user_id": USER})).json() == []


async def test_weeks_in_the_first_message_are_not_asked_for_again(
    trusting: httpx.AsyncClient,
) -> None:
    hello = await start(trusting, "Hello!")
    named = await start(trusting, "Learn the piano in 3 months")

    assert (hello["state"], named["state"]) == ("IDLE", "GATHERING_CURRENT_STATE")


@pytest.mark.parametrize("message", ["0", "over 500 weeks"])
async def test_an_impossible_number_of_weeks_is_asked_for_again(
    trusting: httpx.AsyncClient, message: str
) -> None:
    told = await start(trusting)

    again = await say(trusting, told["conversation_id"], message)

    assert again["state"] == "GATHERING_TIMELINE"


async def test_bad_talk_is_refused(trusting: httpx.AsyncClient) -> None:
    told = await start(trusting)
    path = f"/goals/{told['conversation_id']}/respond"

    empty = await trusting.post(path, json={"message": " "})
    malformed = await trusting.post("/goals/no-id/respond", json={"message": "x"})
    foreign = await trusting.post(path, json={"message": "x"}, headers={"X-User-ID": "other"})

    assert (empty.status_code, malformed.status_code, foreign.status_code) == (422, 422, 404)
