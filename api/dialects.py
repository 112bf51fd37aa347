"""Five products, five ways of saying that something is wrong, and of streaming, side by side.

A router names its dialect once (`tags=["books"], dependencies=[Depends(dialect("books"))]`);
products never format an error. Routes without one speak the engine's: RFC 9457 problem details with
a stable `code`.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import uuid4

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from api.limits import TooManyRequests
from api.streams import Ended, Event
from models.base import now
from models.errors import Conflict, DomainError, Unavailable
from models.jobs.streams import RESET, TOKEN, Entry

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Changed(Conflict):
    """What this request builds on has changed meanwhile. Try again."""

    code = "changed_meanwhile"


class StoreAway(Unavailable):
    """The database cannot be reached at the moment."""

    code = "database_unavailable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What went wrong, before a dialect has put it into its words."""

    code: str
    message: str
    status: int
    details: dict[str, Any]
    request_id: str


def _problem(told: Refusal) -> dict[str, Any]:
    body = {
        "type": "about:blank",
        "title": told.message,
        "status": told.status,
        "code": told.code,
    }
    return body | ({"details": told.details} if told.details else {})


def _books(told: Refusal) -> dict[str, Any]:
    body = {"detail": told.message, "code": told.code}
    return body | ({"details": told.details} if told.details else {})


def _control(told: Refusal) -> dict[str, Any]:
    body = {"error": told.code, "message": told.message}
    return body | ({"details": told.details} if told.details else {})


SCENES_CODES = {  # the document's word for a status, where a refusal has none of its own
    400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND",
    405: "BAD_REQUEST", 408: "REQUEST_TIMEOUT", 409: "CONFLICT", 413: "FILE_INVALID",
    422: "BAD_REQUEST", 429: "RATE_LIMIT_EXCEEDED", 503: "LLM_SERVICE_UNAVAILABLE",
}  # fmt: skip
SCENES_OWN = frozenset({"INVALID_CREDENTIALS"})


def _scenes(told: Refusal) -> dict[str, Any]:
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


def _dining(told: Refusal) -> dict[str, Any]:
    body: dict[str, Any] = {"detail": told.details.get("errors") or told.message}
    return body | ({"code": DINING_CODES[told.status]} if told.status in DINING_CODES else {})


def _dining_accounts(told: Refusal) -> dict[str, Any]:
    return {"error": told.message}


def _goals(told: Refusal) -> dict[str, Any]:
    return {"detail": told.details.get("errors") or told.message}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one product speaks of what went wrong."""

    body: Callable[[Refusal], dict[str, Any]]
    malformed: int  # the status of a body, path or query that does not fit, and its code
    malformed_code: str = "invalid_request"
    media_type: str = "application/json"


DIALECTS = {
    "engine": Dialect(_problem, 422, media_type="application/problem+json"),
    "books": Dialect(_books, 400),
    "control": Dialect(_control, 400, "invalid_payload"),
    "scenes": Dialect(_scenes, 400),
    "dining": Dialect(_dining, 422),
    "dining-accounts": Dialect(_dining_accounts, 422),
    "goals": Dialect(_goals, 422),
}


def dialect(name: str) -> Callable[[Request], None]:
    """Return a dependency that makes a router's errors speak a product's dialect."""

    def speak(request: Request) -> None:
        request.state.dialect = name

    return speak


def _dialect_of(request: Request) -> Dialect:
    name = getattr(request.state, "dialect", None)
    if name is None:  # the request did not get as far as the router's dependency
        route = request.scope.get("route")
        tags = getattr(route, "tags", None) or ()
        name = next((tag for tag in tags if tag in DIALECTS), "engine")
    return DIALECTS[name]


def request_id(request: Request) -> str:
    """Return the id by which logs and answers speak of this request."""
    if not hasattr(request.state, "request_id"):
        request.state.request_id = str(uuid4())
    return str(request.state.request_id)


def _answer(
    request: Request, code: str, message: str, status: int, details: dict[str, Any]
) -> JSONResponse:
    spoken = _dialect_of(request)
    body = spoken.body(Refusal(code, message, status, details, request_id(request)))
    told = json.loads(json.dumps(body, default=str))
    return JSONResponse(told, status_code=status, media_type=spoken.media_type)


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


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a DomainError with its own status and code."""
    assert isinstance(error, DomainError)
    answer = _answer(request, error.code, str(error), error.status, error.details)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(int(error.retry_after_s + 1))
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        answer.headers.update(error.headers)
    return answer


async def refuse_early(error: DomainError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that no route has seen yet, in the dialect of the one it was meant for."""
    for route in iter_route_contexts(scope["app"].routes):
        if getattr(route, "matches", None) and route.matches(scope)[0] is not Match.NONE:
            scope.setdefault("route", route)
            break
    await (await refuse(Request(scope), error))(scope, receive, send)


async def refuse_body(request: Request, error: Exception) -> JSONResponse:
    """Answer a body, path or query that does not fit, with what is wrong where."""
    assert isinstance(error, RequestValidationError)
    spoken = _dialect_of(request)
    errors = [{name: one[name] for name in ("loc", "msg", "type")} for one in error.errors()]
    where = ".".join(map(str, errors[0]["loc"])) if errors else ""
    first = f"{where}: {errors[0]['msg']}" if errors else "The request is malformed."
    details = {"errors": errors}
    return _answer(request, spoken.malformed_code, first, spoken.malformed, details)


async def refuse_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself refuses: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    answer = _answer(request, f"http_{error.status_code}", error.detail, error.status_code, {})
    answer.headers.update(error.headers or {})
    return answer


async def excuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a failure of Postgres: 503 when it is away, 409 when a row has changed meanwhile."""
    logger.warning("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    if isinstance(error, IntegrityError):
        return await refuse(request, Changed())
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return await refuse(request, StoreAway(retry_after_s=1))
    return await apologise(request, error)


async def apologise(request: Request, error: Exception) -> JSONResponse:
    """Answer a bug without telling its inside."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(request, "internal", "Something went wrong on our side.", 500, {})


def install(app: FastAPI) -> None:
    """Make the application answer errors in the dialect of the route."""
    app.add_exception_handler(DomainError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_body)
    app.add_exception_handler(HTTPException, refuse_http)
    app.add_exception_handler(SQLAlchemyError, excuse)
    app.add_exception_handler(Exception, apologise)


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


BOOKS = BooksRendering()
