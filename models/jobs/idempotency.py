"""Idempotency keys: a request that is sent again starts nothing twice."""

import hashlib
import json
from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from models.errors import Conflict, Unprocessable
from models.jobs.tables import Idempotency, Job, idempotency


class KeyInUse(Conflict):
    """A request with this Idempotency-Key is being carried out."""

    code = "idempotency_key_in_use"


class KeyReused(Unprocessable):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


def request_hash(value: Any) -> str:
    """Return a digest of a request's canonical input; a file counts by its sha256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def replay(session: Session, *, owner: UUID, route: str, key: str, digest: str) -> Job | None:
    """Return the job that this key has started, or None and the right to start it.

    The right lasts until the transaction ends. Raises KeyInUse, KeyReused.
    """
    scope = f"{owner}\n{route}\n{key}"
    taken = session.connection().execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:scope, 0))"), {"scope": scope}
    )
    if not taken.scalar_one():
        raise KeyInUse()
    found = session.get(Idempotency, (owner, route, key))
    if found is None:
        return None
    if found.request_hash != digest:
        raise KeyReused()
    return session.get_one(Job, found.job_id)


def remember(
    session: Session, *, owner: UUID, route: str, key: str, digest: str, job_id: UUID
) -> None:
    """Note which job a key has started, in the same transaction."""
    session.connection().execute(
        insert(idempotency).values(
            owner_id=owner,
            route=route,
            key=key,
            request_hash=digest,
            job_id=job_id,
            created_at=func.now(),
        )
    )
