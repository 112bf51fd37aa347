"""Who may do what, route by route. A route that is not listed here fails the tests.

`{name}` in a path stands for the owner's thing; see `World` in test_ownership.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.pictures import picture


@dataclass(frozen=True)
class Open:
    """For everybody: nobody is asked who they are."""

    because: str


@dataclass(frozen=True)
class Mine:
    """About whoever asks: nobody gets `nobody`, and a stranger sees nothing of the owner's."""

    owner: int = 200
    nobody: int = 401
    send: dict[str, Any] = field(default_factory=dict)  # what httpx is to send


@dataclass(frozen=True)
class Owned:
    """About a thing that somebody owns. `owner=None`: the answer would wait for a worker."""

    owner: int | None = 200
    stranger: int = 404
    nobody: int = 401
    send: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """For other services, by their token; people get 401, whoever they are."""

    service: int = 200
    send: dict[str, Any] = field(default_factory=dict)


Decision = Open | Mine | Owned | Service

BOOK: dict[str, Any] = {
    "data": {"title": "A book"},
    "files": {"file": ("book.txt", b"CHAPTER I\n\nGood day.\n")},
}
PICTURE: dict[str, Any] = {"files": {"file": ("cover.png", picture())}}
PROCESS = {"book_id": "{book_id}", "file_url": "https://files.example/a.md", "user_id": "{asker}"}
SAY = {
    "user_id": "{asker}", "character_id": "{character_id}", "book_id": "{book_id}",
    "session_id": "{session_id}", "user_message": "Hello?",
}  # fmt: skip
WEEKLY = {"name": "Weekly", "pipeline": "tests.fan", "cron": "0 8 * * MON"}
HOOK = {"url": "https://hooks.example/a", "every_job": False}
NAMED = {"json": {"name": "A thing"}}

TASK = {"json": {"title": "Run", "scheduled_at": "2040-07-02T10:00:00Z"}}
EVENT = {"json": {"event_id": "{event_id}"}}
SKIP = {"json": {"event_id": "{event_id}", "action": "skip"}}
DONE = {"json": {"updates": [{"id": "{event_id}", "status": "done"}]}}
SPOKEN = {"json": {"session_id": "{session_id}", "role": "user", "content": "Hello"}}
CALL = {
    "json": {"session_id": "{session_id}", "function_call_id": "fc_1", "function_name": "x"},
}
GOAL = {"json": {"title": "Run", "user_id": "{asker}"}}
NO_BODY: dict[str, Any] = {"json": {}}

DECISIONS: dict[str, Decision] = {
    "GET /openapi.json": Open("documentation"),
    "GET /docs": Open("documentation"),
    "GET /docs/oauth2-redirect": Open("documentation"),
    "GET /redoc": Open("documentation"),
    "GET /health": Open("asked by load balancers"),
    "GET /ready": Open("asked by load balancers"),
    "GET /metrics": Open("figures about nobody"),
    "GET /pipelines": Open("what this server can do"),
    # jobs
    "GET /jobs": Mine(),
    "POST /jobs/{pipeline}": Mine(owner=202, send={"json": {"count": 1}}),
    "GET /jobs/{job_id}": Owned(),
    "GET /jobs/{job_id}/steps": Owned(),
    "GET /jobs/{job_id}/events": Owned(),
    "POST /jobs/{job_id}/stream-token": Owned(),
    "POST /jobs/{job_id}/cancel": Owned(),
    "POST /jobs/{job_id}/resume": Owned(owner=202),
    "POST /jobs/{job_id}/retry": Owned(owner=202),
    "POST /jobs/{job_id}/fork": Owned(owner=202, send={"json": {"step": "open_edition"}}),
    "POST /jobs/{job_id}/answer": Owned(owner=409, send={"json": {"step": "x", "value": 1}}),
    "GET /jobs/{job_id}/cost": Owned(),
    "PUT /jobs/{job_id}/budget": Owned(send={"json": {"usd": 2.5}}),
    # schedules
    "GET /schedules": Mine(),
    "POST /schedules": Mine(owner=201, send={"json": WEEKLY}),
    "GET /schedules/{schedule_id}": Owned(),
    "PATCH /schedules/{schedule_id}": Owned(send={"json": {"every_s": 60}}),
    "DELETE /schedules/{schedule_id}": Owned(owner=204),
    "POST /schedules/{schedule_id}/pause": Owned(),
    "POST /schedules/{schedule_id}/resume": Owned(),
    "POST /schedules/{schedule_id}/trigger": Owned(owner=202),
    "GET /schedules/{schedule_id}/upcoming": Owned(),
    "GET /schedules/{schedule_id}/fires": Owned(),
    # webhooks
    "GET /webhooks": Mine(),
    "POST /webhooks": Mine(owner=201, send={"json": HOOK}),
    "GET /webhooks/{webhook_id}": Owned(),
    "PATCH /webhooks/{webhook_id}": Owned(send={"json": {"description": "Ours"}}),
    "DELETE /webhooks/{webhook_id}": Owned(owner=204),
    "POST /webhooks/{webhook_id}/rotate": Owned(send={"json": {}}),
    "GET /webhooks/{webhook_id}/deliveries": Owned(),
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": Owned(owner=202),
    "POST /jobs/{job_id}/webhooks": Owned(owner=204, send={"json": {"webhook_id": "{webhook_id}"}}),
    # books
    "GET /books": Mine(),
    "POST /books": Mine(owner=201, send=BOOK),
    "GET /books/{book_id}": Owned(),
    "DELETE /books/{book_id}": Owned(owner=204),
    "GET /books/{book_id}/characters": Owned(),
    "PUT /books/{book_id}/cover": Owned(owner=204, send=PICTURE),
    "GET /books/{book_id}/cover": Owned(owner=404),  # it has none
    "DELETE /books/{book_id}/cover": Owned(owner=204),
    "GET /characters/{character_id}": Owned(),
    "GET /characters/{character_id}/card": Owned(owner=409),
    "GET /characters/{character_id}/prompt.md": Owned(owner=409),
    "POST /characters/{character_id}/persona": Owned(owner=409, send={"json": {}}),
    "POST /chat-sessions": Owned(owner=201, send={"json": {"character_id": "{character_id}"}}),
    "GET /chat-sessions": Mine(),
    "GET /chat-sessions/{session_id}": Owned(),
    "PATCH /chat-sessions/{session_id}": Owned(send={"json": {"title": "A talk"}}),
    "DELETE /chat-sessions/{session_id}": Owned(owner=204),
    "GET /chat-sessions/{session_id}/messages": Owned(),
    "POST /chat-sessions/{session_id}/messages": Owned(owner=None, send={"json": {"message": "A"}}),
    "GET /chat-sessions/{session_id}/stream": Owned(),
    "POST /chat-sessions/{session_id}/stop": Owned(),
    "GET /chat-sessions/{session_id}/preferences": Owned(),
    "PUT /chat-sessions/{session_id}/preferences": Owned(send={"json": {}}),
    "GET /chat-preferences": Mine(),
    "PUT /chat-preferences": Mine(send={"json": {}}),
    "GET /messages/{message_id}": Owned(),
    "GET /messages/{message_id}/alternates": Owned(),
    "GET /messages/{message_id}/sources": Owned(),
    "POST /messages/{message_id}/choose": Owned(),
    "POST /messages/{message_id}/regenerate": Owned(owner=None, send={"json": {}}),
    "POST /messages/{message_id}/edit": Owned(owner=None, send={"json": {"message": "A"}}),
    "POST /character/processing": Owned(owner=202, stranger=422, send={"json": PROCESS}),
    "POST /character/chat": Owned(owner=None, send={"json": SAY}),
    # accounts
    "POST /auth/register": Open("how one becomes somebody"),
    "POST /auth/login": Open("how one says who one is"),
    "POST /auth/logout": Mine(),
    "GET /v1/auth/me": Mine(),
    "GET /auth/tokens": Mine(),
    "DELETE /auth/tokens/{token_id}": Owned(),
    "POST /auth/verifications": Mine(owner=202),
    "POST /api/auth/login": Open("how one says who one is"),
    "POST /api/auth/logout": Mine(),
    "POST /api/signup/": Open("how one becomes somebody"),
    "POST /api/login/": Open("how one says who one is"),
    "GET /api/verify/{token}/": Open("the link is the proof"),
    # users of scenes: 403 by the document
    "GET /api/users/{user_id}": Owned(stranger=403),
    "PUT /api/users/{user_id}": Owned(stranger=403, send={"json": {}}),
    "GET /api/users/{user_id}/preferences": Owned(stranger=403),
    "PUT /api/users/{user_id}/preferences": Owned(stranger=403, send={"json": {}}),
    "GET /api/users/{user_id}/items": Owned(stranger=403),
    "POST /api/users/{user_id}/items": Owned(stranger=403, owner=201, send=NAMED),
    "GET /api/users/{user_id}/items/{item_id}": Owned(stranger=403),
    "PUT /api/users/{user_id}/items/{item_id}": Owned(stranger=403, send=NAMED),
    "DELETE /api/users/{user_id}/items/{item_id}": Owned(stranger=403),
    "GET /api/users/{user_id}/skills": Owned(stranger=403),
    "POST /api/users/{user_id}/skills": Owned(stranger=403, owner=201, send=NAMED),
    "GET /api/users/{user_id}/skills/{skill_id}": Owned(stranger=403),
    "PUT /api/users/{user_id}/skills/{skill_id}": Owned(stranger=403, send=NAMED),
    "DELETE /api/users/{user_id}/skills/{skill_id}": Owned(stranger=403),
    # users of dining
    "POST /users/{uid}": Service(send={"json": {"email": "a@example.org"}}),
    "GET /users/{uid}": Service(),
    "PATCH /users/{uid}/preferences": Service(send={"json": {"vibes": ["quiet"]}}),
    "DELETE /users/{uid}": Service(service=204),
    # tasks and their scheduler
    "GET /tasks": Mine(),
    "POST /tasks": Mine(owner=201, send=TASK),
    "PATCH /tasks": Owned(send=DONE),
    "GET /scheduler/tasks": Mine(),
    "GET /scheduler/preferences": Mine(),
    "PUT /scheduler/preferences": Mine(send={"json": {}}),
    "POST /scheduler/suggest": Owned(send=EVENT),
    "POST /scheduler/apply": Owned(send=SKIP),
    # voice: 503 without a key of Deepgram's; what fails is told with 200, by the document
    "POST /api/v1/voice/session": Mine(owner=503, send={"json": {}}),
    "POST /api/v1/voice/messages": Owned(stranger=200, send=SPOKEN),
    "POST /api/v1/voice/intents": Owned(stranger=200, send=CALL),
    "GET /api/v1/voice/sessions/{session_id}/messages": Owned(),
    "DELETE /api/v1/voice/session/{session_id}": Owned(),
    # goals
    "POST /goals": Mine(owner=201, send=GOAL),
    "GET /goals": Mine(),
    "GET /goals/{goal_id}": Owned(),
    "PATCH /goals/{goal_id}": Owned(send={"json": {"title": "Run far"}}),
    "POST /goals/{goal_id}/complete": Owned(),
    "POST /goals/{goal_id}/abandon": Owned(),
    "GET /goals/{goal_id}/plan/stream": Owned(),
    "GET /goals/{goal_id}/milestones": Owned(),
    "POST /goals/{goal_id}/replan": Owned(owner=202, send=NO_BODY),
    "GET /goals/{goal_id}/plan/versions": Owned(),
    "GET /goals/{goal_id}/plan/versions/{version}": Owned(),
    "POST /goals/{goal_id}/plan/versions/{version}/accept": Owned(send=NO_BODY),
    "POST /goals/{goal_id}/plan/versions/{version}/reject": Owned(send=NO_BODY),
    "GET /goals/{goal_id}/calendar.ics": Owned(),
    "POST /goals/{goal_id}/calendar-token": Owned(),
    "POST /goals/start": Mine(send={"json": {"user_id": "{asker}", "message": "Run"}}),
    "POST /goals/{conversation_id}/respond": Owned(send={"json": {"message": "8 weeks"}}),
    "GET /goals/conversations/{conversation_id}": Owned(),
    # for superadmins; without a query the search waits for no worker
    "POST /api/v1/rag/ingest": Mine(owner=403, send=NO_BODY),
    "GET /api/v1/rag/search": Mine(owner=422),
}
