"""What the assistant does for whom it talks with."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from config.db import connection, transaction
from config.settings import settings
from models.accounts import provision_user, trusted_id
from tests import inline
from tests.integration.goals.conftest import USER
from tests.integration.goals.talking import VOICE, ask, opened
from tests.scripted_deepgram import ScriptedDeepgram


async def test_a_goal_that_is_spoken_is_planned_and_its_progress_told(
    trusting: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    with transaction() as session:
        provision_user(session, trusted_id(USER))
    answers = await asyncio.gather(
        trusting.post(f"{VOICE}/session", json={"user_id": USER}), drained_until_open()
    )
    name = answers[0].json()["session_id"]
    goal = {"goal_statement": "Run 10 km", "timeline": "2 months", "context_notes": "I run 2 km."}

    said = await ask(trusting, name, "submit_goal_intent", goal)
    early = await ask(trusting, name, "get_plan_progress", {})
    await asyncio.to_thread(inline.drain)
    late = await ask(trusting, name, "get_plan_progress", {})

    assert said.startswith("I've set your goal “Run 10 km” and am planning 8 weeks for it.")
    assert early == "Your plan for “Run 10 km” is 0 percent ready."
    assert late.startswith("Your plan for “Run 10 km” is ready: 8 weeks, the first one is “")
    listed = (await trusting.get("/goals", params={"user_id": USER})).json()
    assert [one["target_weeks"] for one in listed] == [8]


async def drained_until_open() -> None:
    for _ in range(100):
        await asyncio.sleep(0.02)
        if await asyncio.to_thread(inline.drain):
            return


async def test_the_same_call_does_its_work_once_also_at_once(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    name, other = [(await opened(voice))["session_id"] for _ in range(2)]
    goal = {"title": "Lose 15 lbs", "description": "Wedding prep"}

    said = await asyncio.gather(
        *(ask(voice, name, "create_goal", goal, call="fc_123") for _ in range(12))
    )
    again = await ask(voice, name, "create_goal", {"title": "Another"}, call="fc_123")

    assert len({*said, again}) == 1
    assert goals() == ["Lose 15 lbs"]
    await ask(voice, other, "create_goal", {"title": "Another"}, call="fc_123")
    assert goals() == ["Another", "Lose 15 lbs"]


def goals() -> list[str]:
    with connection() as conn:
        return list(conn.execute(text("SELECT title FROM goal ORDER BY title")).scalars())


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        ("dance", {}, "Sorry, I don't know how to handle 'dance'."),
        ("create_goal", {}, "What shall I call it?"),
        ("create_goal", {"title": "  "}, "What shall I call it?"),
        ("create_goal", {"title": "x" * 501}, "I didn't quite get that. What shall I call it?"),
        ("create_goal", {"title": ["x"]}, "I didn't quite get that. What shall I call it?"),
        ("submit_goal_intent", {"timeline": "2 weeks"}, "What would you like to achieve?"),
        ("submit_new_task_intent", {"title": "Swim"}, "When would you like to do it?"),
        (
            "submit_new_task_intent",
            {"title": "Buy milk", "trigger_type": "location"},
            "Which place should remind you?",
        ),
        (
            "submit_new_task_intent",
            {"title": "Swim", "scheduled_at": "someday"},
            "I didn't quite get that. When would you like to do it?",
        ),
        (
            "submit_new_task_intent",
            {"title": "Buy milk", "trigger_type": "location", "location_trigger": "x" * 201},
            "I didn't quite get that. Which place should remind you?",
        ),
        ("submit_reschedule_intent", {}, "Which task do you mean?"),
        (
            "submit_reschedule_intent",
            {"task_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6"},
            "I can't find that task. Which task do you mean?",
        ),
        ("get_plan_progress", {}, "You have no goals yet. What would you like to achieve?"),
        (
            "submit_goal_intent",
            {"goal_statement": "Rest", "timeline": "500 weeks"},
            "Sorry, that didn't work: A plan has from 1 to 52 weeks; this asks for 500.",
        ),
        (
            "submit_new_task_intent",
            {"title": "Swim", "scheduled_at": "2030-01-01T10:00", "recurrence_rule": "always"},
            "Sorry, that didn't work: The rule has parts that are unknown",
        ),
        (
            "create_goal",
            {"title": "Rest", "mood": "\x00"},
            "Sorry, something went wrong on my side.",
        ),
    ],
)
async def test_what_goes_wrong_is_said(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram, function: str, given: Any, said: str
) -> None:
    name = (await opened(voice))["session_id"]

    told = [await ask(voice, name, function, given, call="fc_1") for _ in range(2)]

    assert told[0].startswith(said)
    assert told[0] == told[1]
    assert goals() == []


async def test_a_call_in_a_session_that_is_gone_is_answered_too(voice: httpx.AsyncClient) -> None:
    said = await ask(voice, "sess_nowhere", "create_goal", {"title": "Rest"})
    assert said == "Sorry, I lost track of our conversation. Please start a new one."


async def test_who_asks_too_fast_is_told_so(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = (await opened(voice))["session_id"]
    slow = settings.limits.model_copy(update={"chat": "1/hour", "local_factor": 1})
    monkeypatch.setattr("api.limits.settings", settings.model_copy(update={"limits": slow}))

    said = [await ask(voice, name, "get_plan_progress", {}) for _ in range(2)]

    assert said[1] == "You are faster than I can follow. Please say that again in a minute."
    assert said[0] != said[1]


async def test_a_task_is_added_and_moved_by_voice_by_the_persons_clock(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    headers = {"X-User-ID": USER}
    zone = {"time_zone": "Europe/Berlin"}
    assert (await voice.put("/scheduler/preferences", json=zone, headers=headers)).is_success
    name = (await opened(voice))["session_id"]
    swim = {
        "title": "Swim", "trigger_type": "time", "scheduled_at": "2040-07-02T18:00:00",
        "recurrence_rule": "FREQ=WEEKLY;BYDAY=MO",
    }  # fmt: skip

    said = await ask(voice, name, "submit_new_task_intent", swim)
    (task,) = (await voice.get("/tasks", headers=headers)).json()["tasks"]
    moved = await ask(
        voice, name, "submit_reschedule_intent",
        {"task_id": task["id"], "preferred_new_time": "2040-07-03T19:00:00", "reason": "tired"},
    )  # fmt: skip

    assert said == (
        "I've planned “Swim” for Monday, 2 July at 18:00. It will come again as you said."
    )
    assert task["scheduled_at"] == "2040-07-02T16:00:00Z"
    assert moved == "I've moved “Swim” to Tuesday, 3 July at 19:00."
    after = (await voice.get("/tasks", headers=headers)).json()["tasks"]
    assert {(one["scheduled_at"], one["status"], one["recurrence_rule"]) for one in after} == {
        ("2040-07-09T16:00:00Z", "pending", "FREQ=WEEKLY;BYDAY=MO"),
        ("2040-07-03T17:00:00Z", "rescheduled", None),
    }
