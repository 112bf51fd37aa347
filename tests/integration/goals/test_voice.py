import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from config.db import connection, transaction
from config.products import DeepgramSettings, VoiceSettings
from config.settings import settings
from models.accounts import provision_user, trusted_id
from tests import inline
from tests.scripted_deepgram import KEY, ScriptedDeepgram

VOICE = "/api/v1/voice"
USER = "your-user-uuid"


@pytest.fixture
def deepgram(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDeepgram]:
    with ScriptedDeepgram() as served:
        reached = DeepgramSettings(api_key=SecretStr(KEY), api_base=served.base, timeout_s=1.0)
        changed = settings.model_copy(update={"deepgram": reached})
        monkeypatch.setattr("models.goals.voice.settings", changed)
        monkeypatch.setattr("tasks.adapters.speech.settings", changed)
        from tasks import toolbox

        toolbox._instance.cache_clear()
        yield served
        toolbox._instance.cache_clear()


@pytest.fixture
async def voice(trusting: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of whom the account exists, while a worker carries out what is asked for."""
    with transaction() as session:
        provision_user(session, trusted_id(USER))
    ended = asyncio.Event()

    async def work() -> None:
        while not ended.is_set():
            await asyncio.to_thread(inline.drain)
            await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    yield trusting
    ended.set()
    await working


async def opened(voice: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await voice.post(f"{VOICE}/session", json={"user_id": USER} | body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def ask(
    voice: httpx.AsyncClient, session: str, function: str, given: Any, call: str = ""
) -> str:
    body = {
        "session_id": session,
        "function_call_id": call or str(uuid4()),
        "function_name": function,
        "input": given,
    }
    answer = await voice.post(f"{VOICE}/intents", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["function_call_id"] == body["function_call_id"]
    return str(answer.json()["result"])


def everything_stored() -> str:
    """All rows in which the engine keeps what jobs are given and give, and all of the voice's."""
    tables = ("job", "step", "job_event", "stream_segment", "goal_talk", "goal_voice_intent")
    with connection() as conn:
        return "".join(
            str(row)
            for table in tables
            for row in conn.execute(text(f"SELECT t::text FROM {table} t"))
        )


async def test_a_session_begins_with_both_shapes_and_a_token(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    told = await opened(voice)

    assert told["session_id"].startswith("sess_")
    assert told["deepgram_token"] == "token-1"
    assert told["system_prompt"].startswith("You are Flux, an empathetic AI life assistant")
    config = told["config"]
    assert set(config) == {
        "system_prompt", "functions", "voice_model", "listen_model", "llm_model", "greeting",
    }  # fmt: skip
    assert config["system_prompt"] == told["system_prompt"]
    assert (config["voice_model"], config["listen_model"], config["llm_model"]) == (
        "aura-2-thalia-en", "nova-3", "gpt-4o-mini",
    )  # fmt: skip
    assert {"create_goal", "submit_goal_intent"} < {one["name"] for one in config["functions"]}
    assert deepgram.paths == ["/v1/auth/grant"]
    assert deepgram.keys == [f"Token {KEY}"]
    assert deepgram.bodies == [{"ttl_seconds": 3600}]


async def test_neither_token_nor_key_is_stored_or_logged(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram, caplog: pytest.LogCaptureFixture
) -> None:
    deepgram.body = b'{"access_token": "very-secret-token-of-deepgram", "expires_in": 3600}'
    with caplog.at_level(logging.DEBUG):
        told = await opened(voice)

    assert told["deepgram_token"] == "very-secret-token-of-deepgram"
    stored = everything_stored()
    assert "goals.open_voice_session" in stored
    for secret in (told["deepgram_token"], KEY):
        assert secret not in stored
        assert secret not in caplog.text


async def test_without_a_key_the_answer_names_the_setting(voice: httpx.AsyncClient) -> None:
    answer = await voice.post(f"{VOICE}/session", json={"user_id": USER})

    assert answer.status_code == 503
    assert "DEEPGRAM_API_KEY" in answer.json()["detail"]


@pytest.mark.parametrize(("status", "asked"), [(401, 1), (500, 2), (429, 2)])
async def test_a_speech_server_that_refuses_is_503_and_costs_no_session(
    voice: httpx.AsyncClient,
    deepgram: ScriptedDeepgram,
    status: int,
    asked: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited(monkeypatch, deepgram, 1)
    deepgram.status, deepgram.body = status, b'{"err_msg": "the body of the refusal"}'
    deepgram.headers = {"Retry-After": "0"}

    answer = await voice.post(f"{VOICE}/session", json={"user_id": USER})

    assert (answer.status_code, len(deepgram.keys)) == (503, asked)
    assert f"status {status}" in answer.json()["detail"]
    assert "body of the refusal" not in answer.text
    deepgram.status, deepgram.body = 200, None
    assert (await opened(voice))["deepgram_token"] == f"token-{asked + 1}"


async def test_a_speech_server_that_hangs_is_503_within_its_time(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    deepgram.delay_s = 3.0

    answer = await asyncio.wait_for(voice.post(f"{VOICE}/session", json={"user_id": USER}), 15)

    assert answer.status_code == 503
    assert "ReadTimeout" in answer.json()["detail"]


async def test_an_unknown_user_is_404_and_is_not_made_up(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    answer = await voice.post(f"{VOICE}/session", json={"user_id": str(uuid4())})

    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})
    assert deepgram.keys == []


async def test_an_invalid_bearer_is_401_at_every_door(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    session = (await opened(voice))["session_id"]
    forged = {"Authorization": "Bearer no.such.token"}
    message = {"session_id": session, "role": "user", "content": "Hello"}
    call = {"session_id": session, "function_call_id": "1", "function_name": "x", "input": {}}

    answers = [
        await voice.post(f"{VOICE}/session", json={"user_id": USER}, headers=forged),
        await voice.post(f"{VOICE}/messages", json=message, headers=forged),
        await voice.post(f"{VOICE}/intents", json=call, headers=forged),
        await voice.get(f"{VOICE}/sessions/{session}/messages", headers=forged),
        await voice.delete(f"{VOICE}/session/{session}", headers=forged),
    ]

    assert [one.status_code for one in answers] == [401] * 5


def limited(monkeypatch: pytest.MonkeyPatch, served: ScriptedDeepgram, limit: int) -> None:
    reached = DeepgramSettings(api_key=SecretStr(KEY), api_base=served.base)
    spoken = VoiceSettings(daily_session_limit=limit)
    changed = settings.model_copy(update={"deepgram": reached, "voice": spoken})
    monkeypatch.setattr("models.goals.voice.settings", changed)


async def test_a_day_has_so_many_sessions_also_when_they_are_asked_for_at_once(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, deepgram, 3)

    answers = await asyncio.gather(
        *(voice.post(f"{VOICE}/session", json={"user_id": USER}) for _ in range(6))
    )

    assert sorted(one.status_code for one in answers) == [200, 200, 200, 429, 429, 429]
    late = next(one for one in answers if one.status_code == 429)
    assert 86_000 < int(late.headers["retry-after"]) <= 86_401
    with connection() as conn:
        conn.execute(text("UPDATE goal_talk SET created_at = created_at - interval '1 day'"))
    await opened(voice)


async def test_a_transcript_is_kept_and_told_in_order(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    session = (await opened(voice))["session_id"]
    said = [
        ("user", "I want to lose weight"),
        ("assistant", "That's a meaningful goal!"),
        ("user", ""),
    ]
    for role, content in said:
        body = {"session_id": session, "role": role, "content": content}
        answer = await voice.post(f"{VOICE}/messages", json=body)
        assert (answer.status_code, answer.json()["status"]) == (200, "saved")

    told = (await voice.get(f"{VOICE}/sessions/{session}/messages")).json()

    assert told["session_id"] == session
    assert [(one["role"], one["content"]) for one in told["messages"]] == said
    assert set(told["messages"][0]) == {"id", "role", "content", "created_at"}
    closed = await voice.delete(f"{VOICE}/session/{session}")
    again = await voice.delete(f"{VOICE}/session/{session}")
    expected = {"session_id": session, "status": "closed", "message_count": 3}
    assert closed.json() == again.json() == expected
    with connection() as conn:
        row = conn.execute(text("SELECT ended_at, duration_seconds FROM goal_talk")).one()
    assert row.ended_at is not None
    assert row.duration_seconds >= 0


async def test_a_message_that_cannot_be_saved_is_200_and_failed(voice: httpx.AsyncClient) -> None:
    for session in ("sess_nowhere", "", "sess_\x00"):
        body = {"session_id": session, "role": "user", "content": "Hello"}
        answer = await voice.post(f"{VOICE}/messages", json=body)
        assert (answer.status_code, answer.json()) == (
            200, {"message_id": None, "status": "failed"},
        )  # fmt: skip


async def test_a_session_that_is_not_there_is_404(voice: httpx.AsyncClient) -> None:
    for answer in (
        await voice.get(f"{VOICE}/sessions/sess_nowhere/messages"),
        await voice.delete(f"{VOICE}/session/sess_nowhere"),
        await voice.get(f"{VOICE}/sessions/sess_%00/messages"),
    ):
        assert (answer.status_code, answer.json()) == (
            404, {"detail": "There is no such voice session."},
        )  # fmt: skip


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


async def test_the_prompt_knows_the_next_tasks_by_their_ids(
    voice: httpx.AsyncClient, deepgram: ScriptedDeepgram
) -> None:
    headers = {"X-User-ID": USER}
    soon = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    body = {"title": "Call\nmother", "scheduled_at": soon}
    task = (await voice.post("/tasks", json=body, headers=headers)).json()

    prompt = (await opened(voice))["system_prompt"]

    assert f"- {task['id']}: Call mother, " in prompt


async def test_a_body_that_does_not_fit_is_422(voice: httpx.AsyncClient) -> None:
    for path, body in (
        ("session", []),
        ("messages", {"session_id": "sess_1", "role": "ghost", "content": "Boo"}),
        ("messages", {}),
        ("intents", {"session_id": "sess_1", "function_name": "x"}),
        ("intents", {"session_id": "s", "function_call_id": "", "function_name": "x"}),
    ):
        answer = await voice.post(
            f"{VOICE}/{path}",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 422, (path, body)
        assert "detail" in answer.json()
