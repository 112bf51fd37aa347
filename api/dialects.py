"""Five products, five ways of saying that something is wrong, and of streaming, side by side.

A router names its dialect once (`APIRouter(tags=["books"], **speaking("books"))`); products never
format an error (`api/errors.py` does). Routes without one speak the engine's: RFC 9457 problem
details with a stable `code`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import uuid4

from fastapi import Depends, Request
from pydantic import BaseModel

from api.streams import Ended, Event
from models.base import now
from models.jobs.plan import Json
from models.jobs.streams import RESET, TOKEN, Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What went wrong, before a dialect has put it into its words."""

    code: str
    message: str
    status: int
    details: Json
    request_id: str


def _problem(told: Refusal) -> Json:
    body = {
        "type": "about:blank",
        "title": told.message,
        "status": told.status,
        "code": told.code,
    }
    return body | ({"details": told.details} if told.details else {})


def _books(told: Refusal) -> Json:
    body = {"detail": told.message, "code": told.code}
    return body | ({"details": told.details} if told.details else {})


def _control(told: Refusal) -> Json:
    body = {"error": told.code, "message": told.message}
    return body | ({"details": told.details} if told.details else {})


SCENES_CODES = {  # the document's word for a status, where a refusal has none of its own
    400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND",
    405: "BAD_REQUEST", 408: "REQUEST_TIMEOUT", 409: "CONFLICT", 413: "FILE_INVALID",
    422: "BAD_REQUEST", 429: "RATE_LIMIT_EXCEEDED", 503: "LLM_SERVICE_UNAVAILABLE",
}  # fmt: skip
SCENES_OWN = frozenset({"INVALID_CREDENTIALS"})


def _scenes(told: Refusal) -> Json:
    own = told.code.upper()
    code = own if own in SCENES_OWN else SCENES_CODES.get(told.status, "INTERNAL_ERROR")
    error: dict[str, Any] = {"code": code, "message": told.message}
    if told.details:
        error["details"] = told.details
    return {
        "success": False,
        "error": error,
        "timestamp": now().isoformat(),
        "request_id": told.request_id,
    }


DINING_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 503: "AGENT_UNAVAILABLE"}


def _dining(told: Refusal) -> Json:
    body: dict[str, Any] = {"detail": told.details.get("errors") or told.message}
    return body | ({"code": DINING_CODES[told.status]} if told.status in DINING_CODES else {})


def _dining_accounts(told: Refusal) -> Json:
    return {"error": told.message}


def _goals(told: Refusal) -> Json:
    return {"detail": told.details.get("errors") or told.message}


def _form(required: str, **optional: Json) -> Json:
    """Return the JSON schema of a body with these texts, and these other members."""
    texts: Json = {name: {"type": "string"} for name in required.split()}
    return {"type": "object", "required": required.split(), "properties": texts | optional}


_ANY_DETAIL: Json = {"detail": {}}  # a text, or what is wrong where


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one product speaks of what went wrong."""

    body: Callable[[Refusal], Json]
    schema: Json  # of that body
    malformed: int  # the status of a body, path or query that does not fit, and its code
    malformed_code: str = "invalid_request"
    media_type: str = "application/json"


DIALECTS = {
    "engine": Dialect(
        _problem,
        _form("type title code", status={"type": "integer"}, details={"type": "object"}),
        422,
        media_type="application/problem+json",
    ),
    "books": Dialect(_books, _form("detail code", details={"type": "object"}), 400),
    "control": Dialect(
        _control, _form("error message", details={"type": "object"}), 400, "invalid_payload"
    ),
    "scenes": Dialect(
        _scenes,
        _form(
            "timestamp request_id",
            success={"const": False},
            error=_form("code message", details={"type": "object"}),
        ),
        400,
    ),
    "dining": Dialect(_dining, _form("", code={"type": "string"}, **_ANY_DETAIL), 422),
    "dining-accounts": Dialect(_dining_accounts, _form("error"), 422),
    "goals": Dialect(_goals, _form("", **_ANY_DETAIL), 422),
}


def speaking(name: str, *dependencies: Callable[..., object]) -> dict[str, Any]:
    """Return what a router is made with so that its errors, and their schema, are of a dialect.

    Its routes depend on that first, then on `dependencies`.
    """

    def speak(request: Request) -> None:
        request.state.dialect = name

    spoken = DIALECTS[name]
    content = {spoken.media_type: {"schema": spoken.schema}}
    refused = {"description": "What is wrong with the request.", "content": content}
    broken = {"description": "What is wrong with the server.", "content": content}
    return {
        "dependencies": [Depends(one) for one in (speak, *dependencies)],
        "responses": {"4XX": refused, "5XX": broken},
    }


def request_id(request: Request) -> str:
    """Return the id by which logs and answers speak of this request."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = str(uuid4())
    return str(request.state.request_id)


class Envelope(BaseModel, Generic[T]):
    """What scenes wraps every answer in."""

    success: bool = True
    data: T
    message: str
    timestamp: datetime
    request_id: str


class Wrap:
    """Puts answers into scenes' envelope."""

    def __init__(self, request: Request) -> None:
        """Wrap what is answered to `request`."""
        self._request_id = request_id(request)

    def __call__(self, data: T, message: str = "OK") -> Envelope[T]:
        """Return `data` in its envelope."""
        return Envelope(data=data, message=message, timestamp=now(), request_id=self._request_id)


WrapDep = Annotated[Wrap, Depends(Wrap)]


class BooksRendering:
    """The stream of `POST /character/chat`: unnamed frames with tokens, then the whole reply."""

    def event(self, event: Event) -> str | None:
        """Show no events: the document knows tokens, done and error only."""
        return None

    def entry(self, entry: Entry) -> str | None:
        """Show tokens, and that an earlier attempt's are void."""
        if entry.kind == TOKEN:
            return f"data: {json.dumps({'token': entry.data})}\n\n"
        return f"data: {json.dumps({'reset': True})}\n\n" if entry.kind == RESET else None

    def ended(self, end: Ended) -> str:
        """Close with the whole reply, or with the error 502."""
        if end.status == "succeeded":
            return f"data: {json.dumps({'done': True, 'full_response': end.text})}\n\n"
        reason = (end.error or {}).get("message") or f"The reply was {end.status}."
        return f"data: {json.dumps({'error': reason, 'code': 502})}\n\n"

    def busy(self, message: str, details: dict[str, Any]) -> list[bytes]:
        """Return the frames for a session in which another reply is being written."""
        error = json.dumps({"error": message, "code": 429, **details})
        done = json.dumps({"done": True, "full_response": ""})
        return [f"data: {error}\n\n".encode(), f"data: {done}\n\n".encode()]


class GoalsRendering:
    """A plan as it forms: each week when it is written, and the model's text meanwhile."""

    def event(self, event: Event) -> str | None:
        """Show no events of the engine."""
        return None

    def entry(self, entry: Entry) -> str | None:
        """Show weeks and tokens, and that an earlier attempt's are void."""
        if entry.kind == TOKEN:
            return f"event: token\ndata: {json.dumps({'token': entry.data})}\n\n"
        if entry.kind == RESET:
            return "event: reset\ndata: {}\n\n"
        return f"event: {entry.kind}\ndata: {entry.data}\n\n" if entry.kind == "week" else None

    def ended(self, end: Ended) -> str:
        """Close: the plan is there, or why it is not."""
        if end.status.startswith("succeeded"):
            return 'event: done\ndata: {"status": "planned"}\n\n'
        reason = (end.error or {}).get("message") or f"The planning was {end.status}."
        return f"event: error\ndata: {json.dumps({'detail': reason})}\n\n"


BOOKS = BooksRendering()
GOALS = GoalsRendering()
