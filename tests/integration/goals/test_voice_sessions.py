"""A voice session: how it begins, what is kept of it, what it may not do."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from config.db import connection
from config.products import DeepgramSettings, VoiceSettings
from config.settings import settings
from tests.integration.goals.conftest import USER
from tests.integration.goals.talking import VOICE, opened
from tests.scripted_deepgram import KEY, ScriptedDeepgram


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
