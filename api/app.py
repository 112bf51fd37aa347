"""The FastAPI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import accounts, admin, dialects, dining, jobs, ops
from api.books import conversations, library, messages, replies
from api.limits import BodyLimit
from api.scenes import users as players
from api.streams import Hub


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Hub().running():
        yield


app = FastAPI(
    title="Longrun",
    version="0.1.0",
    summary="Every long AI operation is a durable job.",
    lifespan=_lifespan,
)
app.add_middleware(BodyLimit)
dialects.install(app)
for _router in (
    ops.router, jobs.router, library.router, conversations.router, messages.router,
    replies.router,
    accounts.router, players.auth, players.router,
    dining.accounts, dining.users,
):  # fmt: skip
    app.include_router(_router)
admin.mount(app)
