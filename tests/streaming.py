"""A job whose one step streams, carried out by the test itself instead of a worker."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import update

from config.db import connection, transaction
from config.redis import announce
from models.accounts import LOCAL_USER_ID, provision_user
from models.base import new_id
from models.jobs import claims, lifecycle, transitions
from models.jobs.plan import NewStep
from models.jobs.streams import Entry, entries_after
from models.jobs.tables import StepStatus, step
from tasks.streams import Tokens


class StreamingJob:
    """One job and the claim on its only step."""

    def __init__(self) -> None:
        """Start a job and claim its step."""
        with transaction() as session:
            provision_user(session, LOCAL_USER_ID)
        new = lifecycle.NewJob("tests.stream", "f", LOCAL_USER_ID, {}, parts=1)
        row = NewStep(0, "speak", "stream", max_attempts=9, status=StepStatus.READY)
        with connection() as conn:
            job, (inserted,) = lifecycle.insert_job(conn, new, [row])
        self.id, self.step_id = job.id, inserted["id"]
        self.generation = 1
        self.claim = self._claim()

    def _claim(self) -> claims.Claim:
        with connection() as conn:
            taker = claims.Taker(node=new_id(), pid=1, lease_s=600, idle_s=600)
            claim = claims.claim(
                conn, self.id, self.step_id, self.generation, fingerprint="f", taker=taker
            )
        assert claim is not None
        announce(self.id)
        return claim

    def tokens(self) -> Tokens:
        """Return the writer of the attempt that holds the claim."""
        return Tokens(self.id, self.step_id, epoch=self.claim.epoch, check=lambda: None)

    def take_over(self) -> None:
        """Let another attempt own the step, as after the death of a worker."""
        with connection() as conn:
            expired = update(step).where(step.c.id == self.step_id)
            conn.execute(expired.values(lease_until="2000-01-01T00:00:00Z"))
        self.claim = self._claim()

    def complete(self, tokens: Tokens) -> None:
        """End the step and the job with it, as the runner does."""
        tokens.end()
        with connection() as conn:
            tokens.store(conn)
            transitions.complete(conn, self.claim, {}, _no_items)
        tokens.close()
        announce(self.id)

    def fail(self, tokens: Tokens, message: str) -> None:
        """Let the step fail for good, and the job with it."""
        tokens.abandon()
        error = {"code": "model_failed", "message": message}
        with connection() as conn:
            transitions.fail(conn, self.claim, error, _no_items)
        tokens.close()
        announce(self.id)

    def stored(self) -> list[Entry]:
        """Return the whole stream as Postgres has it."""
        with connection() as conn:
            return entries_after(conn, self.id, 0)


def _no_items(*_: object) -> list[NewStep]:
    return []


def numbers(entries: list[Entry]) -> list[int]:
    """Return the entries' numbers within their attempts."""
    return [one.n % 10**9 for one in entries]


def redis_key(job_id: UUID) -> str:
    """Return the key of a job's stream, as it stands in the documentation."""
    return f"longrun:stream:{job_id}"


def frames(body: str) -> list[dict[str, Any]]:
    """Return the frames of a stream, each with its `id`, `event` and `data`."""
    found = []
    for block in body.replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines()]
        fields = {name: value for name, _, value in lines if name in ("id", "event", "data")}
        if "data" in fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def text(found: list[dict[str, Any]]) -> str:
    """Return the text of all token frames."""
    return "".join(one["data"]["token"] for one in found if one["event"] == "token")
