"""Limits on what comes in, before anything is parsed."""

from starlette.responses import JSONResponse
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
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = FileTooLarge(max_bytes=settings.upload.max_bytes)
        told = {"detail": str(error), "code": error.code, "details": error.details}
        await JSONResponse(told, status_code=error.status)(scope, receive, send)
