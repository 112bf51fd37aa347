"""A spoken goal's journey: real server, real workers, a scripted speech server, a restart."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.scripted_deepgram import KEY, ScriptedDeepgram
from tests.stack import Stack, kill_family, stack_of, wait_for

pytestmark = pytest.mark.timeout(240)
SECRET = "the-shared-secret-of-the-issuer-0123456789"
SUBJECT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
VOICE = "/api/v1/voice"


@pytest.fixture(scope="module")
def stack(
    _postgres_server: None, _valkey_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with ScriptedDeepgram() as deepgram:
        environment = {
            "TRUST_GATEWAY": "true",
            "DEEPGRAM_API_KEY": KEY,
            "DEEPGRAM_API_BASE": deepgram.base,
            "AUTH_JWT_SECRET": SECRET,
        }
        with stack_of(tmp_path_factory.mktemp("stack"), **environment) as running:
            yield running


def client(stack: Stack) -> httpx.Client:
    moment = int(time.time())
    told = {"sub": SUBJECT, "aud": "authenticated", "exp": moment + 600}
    bearer = jwt.encode(told, SECRET, algorithm="HS256")
    headers = {"Authorization": f"Bearer {bearer}"}
    return httpx.Client(base_url=stack.start_web(), headers=headers, timeout=30)


def test_a_spoken_goal_is_planned_and_its_session_outlives_the_server(stack: Stack) -> None:
    with client(stack) as web:
        began = time.monotonic()
        session = web.post(f"{VOICE}/session", json={"user_id": "your-user-uuid"}).json()
        assert time.monotonic() - began < 5
        assert session["deepgram_token"] == "token-1"
        name = session["session_id"]
        message = {"session_id": name, "role": "user", "content": "I want to lose weight"}
        assert web.post(f"{VOICE}/messages", json=message).json()["status"] == "saved"
        call: dict[str, Any] = {
            "function_call_id": "fc_123",
            "function_name": "create_goal",
            "input": {"title": "Lose 15 lbs", "description": "Wedding prep"},
            "session_id": name,
        }
        said = web.post(f"{VOICE}/intents", json=call).json()["result"]
        assert said.startswith("I've set your goal “Lose 15 lbs”")

    assert stack.web is not None
    kill_family(stack.web)
    with client(stack) as web:
        assert web.post(f"{VOICE}/intents", json=call).json()["result"] == said
        ask = {"session_id": name, "function_name": "get_plan_progress"}

        def ready() -> Any:
            more = ask | {"function_call_id": str(time.monotonic_ns())}
            told = web.post(f"{VOICE}/intents", json=more).json()["result"]
            return told if "is ready: 6 weeks" in told else None

        assert wait_for(ready, 60)
        (goal,) = web.get("/goals").json()
        assert (goal["title"], goal["user_id"]) == ("Lose 15 lbs", SUBJECT)
        transcript = web.get(f"{VOICE}/sessions/{name}/messages").json()["messages"]
        assert [one["content"] for one in transcript] == ["I want to lose weight"]
        closed = web.delete(f"{VOICE}/session/{name}").json()
        assert closed == {"session_id": name, "status": "closed", "message_count": 1}

    told = "".join(path.read_text(errors="replace") for path in Path(stack.folder).glob("*.log"))
    assert told
    assert not [one for one in (KEY, SECRET, "token-1") if one in told]
