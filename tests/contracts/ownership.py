"""Who may do what, route by route. A route that is not listed here fails the tests.

`{name}` in a path stands for the owner's thing; see `World` in test_ownership.
"""

from dataclasses import dataclass, field
from typing import Any


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
PROCESS = {"book_id": "{book_id}", "file_url": "https://files.example/a.md", "user_id": "{asker}"}
SAY = {
    "user_id": "{asker}", "character_id": "{character_id}", "book_id": "{book_id}",
    "session_id": "{session_id}", "user_message": "Hello?",
}  # fmt: skip
WEEKLY = {"name": "Weekly", "pipeline": "tests.fan", "cron": "0 8 * * MON"}
HOOK = {"url": "https://hooks.example/a", "every_job": False}
NAMED = {"json": {"name": "A thing"}}

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
    "GET /characters/{character_id}": Owned(),
    "GET /characters/{character_id}/card": Owned(owner=409),
    "GET /characters/{character_id}/prompt.md": Owned(owner=409),
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
}
