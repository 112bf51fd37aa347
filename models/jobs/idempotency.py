"""Idempotency keys: a request that is sent again starts nothing twice."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from models.errors import Conflict, Unprocessable
from models.jobs.bookkeeping import Idempotency, idempotency
from models.jobs.tables import Job


class KeyInUse(Conflict):
    """A request with this Idempotency-Key is being carried out."""

    code = "idempotency_key_in_use"


class KeyReused(Unprocessable):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


def request_hash(value: Any) -> str:
    """Return a digest of a request's canonical input; a file counts by its sha256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def once(
    session: Session, begin: Callable[[], Job], *, owner: UUID, route: str, key: str, said: Any
) -> tuple[Job, bool]:
    """Return the job that `begin` starts in this transaction, or the one that this key has started.

    Also whether it is an older one. Raises KeyInUse, KeyReused.
    """
    digest = request_hash(said)
    _take(session, f"{owner}\n{route}\n{key}")
    found = session.get(Idempotency, (owner, route, key))
    if found is not None:
        if found.request_hash != digest:
            raise KeyReused()
        return session.get_one(Job, found.job_id), True
    job = begin()
    session.connection().execute(
        insert(idempotency).values(
            owner_id=owner,
            route=route,
            key=key,
            request_hash=digest,
            job_id=job.id,
            created_at=func.now(),
        )
    )
    return job, False


def _take(session: Session, scope: str) -> None:
    """Lock a key until the transaction ends. Raises KeyInUse."""
    taken = session.connection().execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:scope, 0))"), {"scope": scope}
    )
    if not taken.scalar_one():
        raise KeyInUse()
