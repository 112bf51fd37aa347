"""Gives held jobs the places of their concurrency keys that have become free.

Only the dispatcher does: it hears of each job that comes or ends, and looks around by itself.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection

from config.db import connection
from config.redis import announce
from models.errors import DomainError
from models.jobs import dispatch, lifecycle, places
from models.jobs.plan import NewStep
from tasks import publisher
from tasks.pipeline import REGISTRY

logger = logging.getLogger(__name__)


class OtherVersion(Exception):
    """What follows a step is known to another version of its pipeline only."""


def expand(conn: Connection, job_id: UUID, position: int) -> list[NewStep]:
    """Return the items of a job's `each` as rows. Raises InvalidItems, OtherVersion."""
    name, fingerprint = dispatch.version_of(conn, job_id)
    pipeline = REGISTRY.get(name)
    if pipeline is None or pipeline.fingerprint != fingerprint:
        raise OtherVersion
    return pipeline.expand(conn, job_id, position)


def admit(keys: Iterable[str]) -> None:
    """Fill the free places of these keys."""
    for key in keys:
        while _admit_next(key):
            pass


def admit_after(after: str) -> str:
    """Fill free places of some keys; return after which key to go on."""
    with connection() as conn:
        keys, last = places.keys_with_room(conn, after)
    admit(keys)
    return last


def _admit_next(key: str) -> bool:
    job_id = None
    try:
        with connection() as conn:
            job_id = places.next_held(conn, key, known=list(REGISTRY))
            ready = places.admit(conn, job_id, expand) if job_id else []
    except OtherVersion:
        return False  # until a worker of its version leads, or none is left
    except DomainError as error:  # it begins with an `each` over items without keys, say
        assert job_id is not None
        ready = []
        with connection() as conn:
            told = {"code": error.code, "message": str(error)}
            lifecycle.request_cancel(conn, job_id, error=told)
    if job_id is None:
        return False
    publisher.submit(ready)
    announce(job_id)
    return True
