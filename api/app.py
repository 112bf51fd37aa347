"""The FastAPI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import dialects, jobs, ops
from api.books import conversations, library
from api.limits import BodyLimit
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
for _part in (ops, jobs, library, conversations):
    app.include_router(_part.router)
