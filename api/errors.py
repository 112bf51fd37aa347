"""Answers everything that goes wrong, in the dialect of the route it was asked of."""

import json
import logging
import math
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from api.dialects import DIALECTS, Dialect, Refusal, request_id
from api.limits import TooManyRequests
from config.db import is_away
from models.errors import Busy, Conflict, DomainError, Unavailable, Unprocessable

logger = logging.getLogger(__name__)


class Changed(Conflict):
    """What this request builds on has changed meanwhile. Try again."""

    code = "changed_meanwhile"


class Unstorable(Unprocessable):
    """This holds what cannot be stored: a NUL character in a text, or too large a number."""

    code = "unstorable"


class StoreAway(Unavailable):
    """The database cannot be reached at the moment."""

    code = "database_unavailable"


def _dialect_of(request: Request) -> Dialect:
    name = getattr(request.state, "dialect", None)
    if name is None:  # the request did not get as far as the router's dependency
        route = request.scope.get("route")
        tags = getattr(route, "tags", None) or ()
        name = next((tag for tag in tags if tag in DIALECTS), "engine")
    return DIALECTS[name]


def _answer(
    request: Request, code: str, message: str, status: int, details: dict[str, Any]
) -> JSONResponse:
    spoken = _dialect_of(request)
    body = spoken.body(Refusal(code, message, status, details, request_id(request)))
    told = json.loads(json.dumps(body, default=str))
    return JSONResponse(told, status_code=status, media_type=spoken.media_type)


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a DomainError with its own status and code."""
    assert isinstance(error, DomainError)
    answer = _answer(request, error.code, str(error), error.status, error.details)
    if error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(int(error.retry_after_s + 1))
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Busy):
        answer.headers.update(_standing(error))
    return answer


def _standing(error: Busy) -> dict[str, str]:
    """Return the headers that say how much is allowed, where that is a number."""
    if isinstance(error, TooManyRequests):
        return error.headers
    if "limit" not in error.details:
        return {}
    return {
        "X-RateLimit-Limit": str(error.details["limit"]),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(math.ceil(time.time() + (error.retry_after_s or 0))),
    }


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
    """Answer a failure of Postgres: 503 away, 409 a row has changed meanwhile, 422 not storable."""
    logger.warning("%s %s failed: %s", request.method, request.url.path, type(error).__name__)
    if isinstance(error, IntegrityError):
        return await refuse(request, Changed())
    if isinstance(error, DataError):
        return await refuse(request, Unstorable())
    if is_away(error):
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
