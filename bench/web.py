"""The API that also knows the benchmarks' pipelines, and routes to measure with."""

from uuid import UUID

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from api.app import app
from api.books.library import BookPage, read_books
from api.deps import SessionDep, WaitingOwner
from api.sse import CursorDep, follow
from api.streams import ENGINE
from bench.pipelines import Run, relaying
from config.db import transaction
from models.accounts import LOCAL_USER_ID

__all__ = ["app"]


@app.post("/bench/empty", status_code=202)
def do_nothing(body: dict[str, str]) -> dict[str, str]:
    """Take a body and answer."""
    return body


@app.get("/bench/books")
def list_without_asking(session: SessionDep) -> BookPage:
    """Do what `GET /books` does, without finding out who asks."""
    return read_books(session, LOCAL_USER_ID)


@app.post("/bench/ask")
async def ask(run: Run, owner: WaitingOwner, cursor: CursorDep) -> Response:
    """Ask the model and stream its answer, as `POST /character/chat` does."""

    def begin() -> UUID:
        with transaction() as session:
            return relaying.start(session, run, owner=owner).id

    return await follow(await run_in_threadpool(begin), cursor, ENGINE, owner=owner)
