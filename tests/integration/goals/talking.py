"""What somebody does who talks with the assistant."""

from typing import Any
from uuid import uuid4

import httpx

from tests.integration.goals.conftest import USER

VOICE = "/api/v1/voice"


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
