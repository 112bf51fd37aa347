"""Limits on what comes in, before anything is parsed."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.settings import settings
from models.files import FileTooLarge

FORM_OVERHEAD = 1024 * 1024  # what a multipart form may add to its file


class BodyLimit:
    """Refuses bodies over the upload limit, by their announced length or as they come."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = settings.upload.max_bytes + FORM_OVERHEAD
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        got = limit + 1 if announced.isdigit() and int(announced) > limit else 0

        async def counted() -> Message:
            nonlocal got
            if got > limit:
                raise FileTooLarge(max_bytes=settings.upload.max_bytes)
            message = await receive()
            got += len(message.get("body", b""))
            return message

        await self.app(scope, counted, send)
