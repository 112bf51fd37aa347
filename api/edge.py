"""What every request passes before a route sees it, and every answer after: the outermost layer.

A request gets an id, by which answers and log lines speak of it, and must name a host that is ours:
a page elsewhere whose name is made to point here (DNS rebinding) names its own. Then come other
pages' rights (CORS), how much one address may ask for, and how large a body may be.
"""

from functools import cache
from ipaddress import ip_address
from re import compile as pattern
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import limits
from api.caller import address_of
from api.errors import refuse_early
from api.metrics import request_counted
from config.logging import about
from config.settings import Settings, listed, settings
from models.errors import Busy, Invalid
from models.files import FileTooLarge

FORM_OVERHEAD = 1024 * 1024  # bytes that a multipart form may add to its file
REQUEST_ID = pattern(r"[\w.-]{1,64}")
ALLOWED_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer",
    "X-Request-ID",
)  # fmt: skip
SHOWN_HEADERS = (
    "ETag", "Idempotent-Replayed", "Link", "Location", "Retry-After", "X-Access-Token", "X-Job-ID",
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID",
)  # fmt: skip
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'"  # for answers that no browser should run
PAGES = {  # for those that are pages; both have scripts and styles in their text
    "/admin": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; form-action 'self'; "
    "base-uri 'self'; frame-ancestors 'none'",
    "/docs": "default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; img-src 'self' data: "
    "https://fastapi.tiangolo.com; frame-ancestors 'none'",
}


class UnknownHost(Invalid):
    """This server is not reached by that name."""

    code = "unknown_host"


class BodyTooLarge(Invalid):
    """The request is too large."""

    code = "body_too_large"
    status = 413


def guard(app: ASGIApp) -> ASGIApp:
    """Return `app` behind everything that its users are to be protected by."""
    guarded: ASGIApp = RateLimit(BodyLimit(app))
    if origins := listed(settings.web.cors_origins):
        guarded = CORSMiddleware(
            guarded,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=ALLOWED_HEADERS,
            expose_headers=SHOWN_HEADERS,
        )
    return Edge(guarded)


class Edge:
    """Names the request, checks the host it asks for, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        headers = _headers_for(scope["path"]) | {"X-Request-ID": request_id}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                told = MutableHeaders(scope=message)
                for name, value in (headers | scope["state"].get("rate", {})).items():
                    told.setdefault(name, value)
            await send(message)

        with about(request=request_id), request_counted(scope) as answered:
            if _is_ours(URL(scope=scope).hostname or ""):
                await self.app(scope, receive, with_headers)
            else:
                await refuse_early(UnknownHost(), scope, receive, with_headers)


@cache
def _policy(page: str, over_tls: bool) -> dict[str, str]:
    secure = {"Strict-Transport-Security": "max-age=31536000"}
    policy = {"Content-Security-Policy": PAGES.get(page, CLOSED)}
    return HEADERS | policy | (secure if over_tls else {})


def _headers_for(path: str) -> dict[str, str]:
    page = next((page for page in PAGES if path.startswith(page)), "")
    return _policy(page, settings.web.public_url.startswith("https://"))


def _is_ours(host: str) -> bool:
    """Say whether a name is ours. An address always is: no page of another's has it as a name."""
    names = own_names(settings)
    return names is None or host in names or _is_address(host)


@cache
def own_names(configured: Settings) -> frozenset[str] | None:
    """Return the names by which this server is reached; None where that is not configured."""
    public = urlsplit(configured.web.public_url).hostname
    given = [*listed(configured.web.allowed_hosts), *([public] if public else [])]
    if not given and configured.environment != "local":
        return None
    return frozenset(name.lower() for name in [*given, "localhost"])


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class RateLimit:
    """Refuses addresses that ask too often. Open streams and probes are not counted here."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its address has not used up its share."""
        if scope["type"] == "http" and not limits.is_exempt(scope["method"], scope["path"]):
            try:
                await limits.count_async("address", address_of(scope))
            except Busy as error:
                await refuse_early(error, scope, receive, send)
                return
        await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large, by their announced length or as they come."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").startswith("multipart/form-data")
        uploads = settings.upload
        limit = uploads.max_bytes + FORM_OVERHEAD if is_form else uploads.max_body_bytes
        announced = headers.get("content-length", "0")
        got = int(announced) if announced.isdigit() and int(announced) > limit else 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            return {"type": "http.disconnect"} if got > limit else message

        async def unless_over(message: Message) -> None:
            if got <= limit:
                await send(message)

        if got <= limit:
            await self.app(scope, counted, unless_over)
        if got > limit:
            error = FileTooLarge(max_bytes=uploads.max_bytes) if is_form else None
            refusal = error or BodyTooLarge(max_bytes=uploads.max_body_bytes)
            await refuse_early(refusal, scope, receive, send)
