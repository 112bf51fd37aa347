"""Requests that may be sent again: under one Idempotency-Key a job is started once."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request, Response, UploadFile
from sqlmodel import Session

from models.jobs import idempotency
from models.jobs.tables import Job

IdempotencyKey = Annotated[
    str | None, Header(max_length=200, description="Sent again, the request starts nothing twice.")
]
PIECE_BYTES = 2**20  # of an upload, read at once


class Once:
    """A request that starts a job, with its key, if it has one. The answer says when it replays."""

    def __init__(
        self, request: Request, response: Response, idempotency_key: IdempotencyKey = None
    ) -> None:
        self.key = idempotency_key
        self.headers: dict[str, str] = {}  # for routes that make their own `Response`
        self._route = f"{request.method} {request.url.path}"
        self._response = response

    def said_of(self, file: UploadFile | None) -> list[str | None]:
        """Return what stands for an uploaded file: its name and sha256, where there is a key."""
        if self.key is None or file is None:
            return []
        digest = hashlib.sha256()
        while piece := file.file.read(PIECE_BYTES):
            digest.update(piece)
        file.file.seek(0)
        return [file.filename, digest.hexdigest()]

    def start(
        self, session: Session, begin: Callable[[], Job], *, owner: UUID, said: Any = None
    ) -> Job:
        """Return the job that `begin` starts, or that this key has started; then nothing begins.

        `said` is what the request asks for besides its path (JSON; a file counts by its sha256).
        Raises KeyInUse, KeyReused.
        """
        if self.key is None:
            return begin()
        job, old = idempotency.once(
            session, begin, owner=owner, route=self._route, key=self.key, said=said
        )
        if old:
            self.headers["Idempotent-Replayed"] = "true"
            self._response.headers.update(self.headers)
        return job


OnceDep = Annotated[Once, Depends()]
