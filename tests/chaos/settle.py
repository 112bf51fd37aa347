"""The quiet time: nothing breaks any more, and everything has to come to its end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from config.db import connection, transaction
from models.base import now
from models.errors import DomainError
from models.jobs import lifecycle
from models.jobs.tables import Job
from models.schedules import keeping
from models.schedules.tables import Schedule
from tasks.pipeline import REGISTRY

LOOK_EVERY_S = 1.0
TAKEN_UP_AT_MOST = 5  # times per job

# What a failure is allowed to be called while everything breaks; such a job is taken up again.
PASSING = ("worker_lost", "unavailable", "idle", "deadline_exceeded", "model_failed")

OPEN = "SELECT id, pipeline, status FROM job WHERE finished_at IS NULL"
FAILED = f"""
SELECT id, error->>'code' AS code FROM job
WHERE status = 'failed' AND error->>'code' IN {PASSING}
"""
UNTOLD = "SELECT id FROM webhook_delivery WHERE status IN ('pending', 'sending')"
MAKE_DUE = """
UPDATE webhook_delivery SET next_attempt_at = now() WHERE status IN ('pending', 'sending')
AND NOT EXISTS (
    SELECT FROM job WHERE pipeline = 'webhooks.deliver' AND finished_at IS NULL
)
"""


class Quiet:
    """Brings a site to rest."""

    def __init__(self, schedules: list[UUID]) -> None:
        self.schedules = schedules
        self.taken_up: Counter[UUID] = Counter()
        self.stopped: set[UUID] = set()
        self.paused_at: datetime | None = None
        self.state = ""

    async def settle(self, within_s: float, note: Callable[[str], None]) -> float | None:
        """Return after how many seconds everything had ended; None: it never did."""
        began, looks = time.monotonic(), 0
        while time.monotonic() - began < within_s:
            if await asyncio.to_thread(self._is_quiet):
                return time.monotonic() - began
            await asyncio.sleep(LOOK_EVERY_S)
            if (looks := looks + 1) % 10 == 0:
                note(f"{'':10} still open: {self.state}")
        return None

    def _is_quiet(self) -> bool:
        try:
            return self._look()
        except SQLAlchemyError:
            return False  # a connection from before has gone; the next one is good

    def _look(self) -> bool:
        """Do what is to be done; say whether there was nothing."""
        if self.paused_at is None:
            self._pause()
        self._take_up()
        self._stop_waiting()
        with connection() as conn:
            conn.execute(text(MAKE_DUE))
            jobs = conn.execute(text(OPEN)).all()
            untold = conn.execute(text(UNTOLD)).all()
        self.state = (
            f"{len(jobs)} jobs {[tuple(one)[1:] for one in jobs[:5]]}, {len(untold)} messages, "
            f"schedules {'ended' if self.paused_at else 'go on'}"
        )
        return not (jobs or untold or self.paused_at is None or self._resumable())

    def _pause(self) -> None:
        """End the schedules, once none of their fires waits for the one before."""
        with transaction() as session:
            waiting = "SELECT 1 FROM schedule_fire WHERE status = 'waiting'"
            late = "SELECT 1 FROM schedule WHERE due_at < now() - interval '1 second'"
            for query in (waiting, late):
                if session.connection().execute(text(query)).first():
                    return
            for id in self.schedules:
                row = session.get_one(Schedule, id, with_for_update=True)
                keeping.pause(row)
            self.paused_at = now()

    def _resumable(self) -> list[UUID]:
        with connection() as conn:
            found = conn.execute(text(FAILED)).scalars()
            return [one for one in found if self.taken_up[one] < TAKEN_UP_AT_MOST]

    def _take_up(self) -> None:
        """Resume what has failed for want of a worker, a connection or time."""
        for job_id in self._resumable():
            self.taken_up[job_id] += 1
            try:
                with transaction() as session:
                    row = session.get_one(Job, job_id)
                    REGISTRY[row.pipeline].resume(session, row)
            except DomainError:
                self.taken_up[job_id] = TAKEN_UP_AT_MOST

    def _stop_waiting(self) -> None:
        """Stop jobs that wait for a person who is gone."""
        with connection() as conn:
            waiting = [row.id for row in conn.execute(text(OPEN)) if row.status == "waiting"]
        for job_id in waiting:
            self.stopped.add(job_id)
            with connection() as conn:
                lifecycle.request_cancel(conn, job_id)

    def open(self) -> str:
        """Return what is open, as the log shows it."""
        try:
            return ", ".join(f"{pipeline} {status}" for _, pipeline, status in self.left())
        except SQLAlchemyError:
            return "Postgres is away"

    def left(self) -> list[Any]:
        """Return what has not ended."""
        with connection() as conn:
            return [tuple(map(str, row)) for row in conn.execute(text(OPEN))]
