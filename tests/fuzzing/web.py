"""The API with readers that leave a stream after a moment, as tabs are closed.

A stream may last as long as its job; who sends thousands of requests cannot wait for each.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import app as api

PATIENCE_S = 1.0


class Impatient:
    """Tells the application that its client has gone, and ends the answer in good order."""

    def __init__(self, inner: ASGIApp) -> None:
        """Wrap an application."""
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; a stream gets PATIENCE_S."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        streams = complete = False

        async def told(message: Message) -> None:
            nonlocal streams, complete
            if message["type"] == "http.response.start":
                kinds = [value for name, value in message["headers"] if name == b"content-type"]
                streams = any(kind.startswith(b"text/event-stream") for kind in kinds)
            complete = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        async def asked() -> Message:
            if not streams:
                return await receive()
            try:
                return await asyncio.wait_for(receive(), PATIENCE_S)
            except TimeoutError:
                return {"type": "http.disconnect"}

        await self.inner(scope, asked, told)
        if streams and not complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


app = Impatient(api)
