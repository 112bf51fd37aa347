"""Server-Sent Events over HTTP: the response, the cursor, and the token for browsers."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, Header, Query
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.streams import Cursor, Rendering, at_the_end, current_hub
from config.settings import settings
from models.accounts import InvalidToken
from models.base import now

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def read_cursor(
    last_event_id: Annotated[str | None, Header(description="Go on after this frame.")] = None,
    after: Annotated[str | None, Query(description="The same, as a query.")] = None,
) -> Cursor:
    """Return from where a reader wants to go on. Raises InvalidCursor."""
    return Cursor.parse(last_event_id or after)


CursorDep = Annotated[Cursor, Depends(read_cursor)]


def event_stream(frames: AsyncIterator[bytes], **headers: str) -> Response:
    """Return a response that sends encoded frames as they come."""
    return EventSourceResponse(
        frames,
        ping=int(settings.stream.ping_s),
        send_timeout=settings.stream.send_timeout_s,
        headers={**HEADERS, **headers},
    )


async def follow(job_id: UUID, cursor: Cursor, rendering: Rendering, **headers: str) -> Response:
    """Return a job's stream beyond `cursor`; 204 when there is nothing more to come."""
    if await run_in_threadpool(at_the_end, job_id, cursor):
        return Response(status_code=204, headers=HEADERS)
    return event_stream(current_hub().frames(job_id, cursor, rendering), **headers)


def sign_stream_token(job_id: UUID, owner: UUID) -> str:
    """Return a token that lets a browser's EventSource, which sends no headers, read one job."""
    expires = now() + timedelta(seconds=settings.stream.token_ttl_s)
    claims = {"aud": f"stream:{job_id}", "sub": str(owner), "exp": expires}
    return jwt.encode(claims, settings.secret_key.get_secret_value(), algorithm="HS256")


def verify_stream_token(token: str, job_id: UUID) -> UUID:
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
