"""Server-Sent Events over HTTP: the response, the cursor, and the token for browsers."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import Depends, Header, Query
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.limits import check_streams, open_stream
from api.streams import Cursor, Rendering, current_hub
from config.settings import settings
from models.accounts import InvalidToken
from models.base import now

SHUTDOWN_GRACE_S = 2.0  # in which open streams end by themselves; below uvicorn's own 5 s
STREAMS: dict[str, Any] = {  # what a route is declared with that answers with a stream
    "response_class": Response,
    "responses": {
        200: {"content": {"text/event-stream": {}}},
        204: {"description": "There is nothing more to come."},
    },
}
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def read_cursor(
    last_event_id: Annotated[str | None, Header(description="Go on after this frame.")] = None,
    after: Annotated[str | None, Query(description="The same, as a query.")] = None,
) -> Cursor:
    """Return from where a reader wants to go on. Raises InvalidCursor."""
    return Cursor.parse(last_event_id or after)


CursorDep = Annotated[Cursor, Depends(read_cursor)]


class EventStream(EventSourceResponse):
    """Sends encoded frames as they come; a client that takes none for too long is let go."""

    def __init__(self, frames: AsyncIterator[bytes], owner: UUID, **headers: str) -> None:
        """Answer `owner` with `headers` besides the usual ones."""
        self.owner = owner
        super().__init__(
            frames,
            ping=settings.stream.ping_s,
            send_timeout=settings.stream.send_timeout_s,
            shutdown_event=current_hub().shutdown,
            shutdown_grace_period=SHUTDOWN_GRACE_S,
            headers={**HEADERS, **headers},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; the client may come back with its cursor, so leaving one is no error."""
        with suppress(SendTimeoutError), open_stream(self.owner):
            await super().__call__(scope, receive, send)


async def follow(
    job_id: UUID, cursor: Cursor, rendering: Rendering, *, owner: UUID, **headers: str
) -> Response:
    """Return a job's stream beyond `cursor`; 204 when there is nothing more to come.

    Raises TooManyStreams.
    """
    check_streams(owner)
    start = await current_hub().find_start(job_id, cursor)
    if start is None:
        return Response(status_code=204, headers=HEADERS)
    return EventStream(current_hub().frames(job_id, start, rendering), owner, **headers)


def sign_stream_token(job_id: UUID, owner: UUID) -> str:
    """Return a token that lets a browser's EventSource, which sends no headers, read one job."""
    expires = now() + timedelta(seconds=settings.stream.token_ttl_s)
    claims = {"aud": f"stream:{job_id}", "sub": str(owner), "exp": expires}
    return jwt.encode(claims, settings.secret_key.get_secret_value(), algorithm="HS256")


def verify_stream_token(token: str, job_id: str) -> UUID:
    """Return whose stream token this is. Raises InvalidToken."""
    try:
        claims = jwt.decode(
            token,
            settings.secret_key.get_secret_value(),
            algorithms=["HS256"],
            audience=f"stream:{job_id}",
        )
        return UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError):
        raise InvalidToken("This stream token is not valid, or no longer.") from None
