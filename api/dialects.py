"""Five products, five ways of saying that something is wrong, and of streaming, side by side.

A router names its dialect once (`dialect("books")` as its dependency); products never format an
error. Routes without one speak the engine's: RFC 9457 problem details with a stable `code`.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from starlette.exceptions import HTTPException

from api.streams import Ended, Event
from models.errors import Conflict, DomainError, Unavailable
from models.jobs.streams import RESET, TOKEN, Entry

logger = logging.getLogger(__name__)

ErrorBody = Callable[[str, str, int, dict[str, Any]], dict[str, Any]]


class Changed(Conflict):
    """What this request builds on has changed meanwhile. Try again."""

    code = "changed_meanwhile"


class StoreAway(Unavailable):
    """The database cannot be reached at the moment."""

    code = "database_unavailable"


def _problem(code: str, message: str, status: int, details: dict[str, Any]) -> dict[str, Any]:
    told = {"type": "about:blank", "title": message, "status": status, "code": code}
    return told | ({"details": details} if details else {})


def _detail(code: str, message: str, status: int, details: dict[str, Any]) -> dict[str, Any]:
    return {"detail": message, "code": code} | ({"details": details} if details else {})


BODIES: dict[str, tuple[ErrorBody, str, int]] = {  # body, media type, status of a malformed one
    "engine": (_problem, "application/problem+json", 422),
    "books": (_detail, "application/json", 400),
}


def dialect(name: str) -> Callable[[Request], None]:
    """Return a dependency that makes a router's errors speak a product's dialect."""

    def speak(request: Request) -> None:
        request.state.dialect = name

    return speak


def _dialect_of(request: Request) -> tuple[ErrorBody, str, int]:
    name = getattr(request.state, "dialect", None)
    if name is None:  # the request did not get as far as the router's dependency
        route = request.scope.get("route")
        name = "books" if route is not None and "books" in getattr(route, "tags", ()) else "engine"
    return BODIES[name]


def _answer(
    request: Request, code: str, message: str, status: int, details: dict[str, Any]
) -> JSONResponse:
    body, media_type, _ = _dialect_of(request)
    told = json.loads(json.dumps(body(code, message, status, details), default=str))
    return JSONResponse(told, status_code=status, media_type=media_type)


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a DomainError with its own status and code."""
    assert isinstance(error, DomainError)
    answer = _answer(request, error.code, str(error), error.status, error.details)
    if isinstance(error, Unavailable) and error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(int(error.retry_after_s + 1))
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def refuse_body(request: Request, error: Exception) -> JSONResponse:
    """Answer a body, path or query that does not fit, with what is wrong where."""
    assert isinstance(error, RequestValidationError)
    status = _dialect_of(request)[2]
    errors = [
        {"at": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors()
    ]
    first = f"{errors[0]['at']}: {errors[0]['problem']}" if errors else "The request is malformed."
    return _answer(request, "invalid_request", first, status, {"errors": errors})


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
