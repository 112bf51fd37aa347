"""Publishes what is due and repairs what was left behind: one elected thread of all workers.

Every worker's main process runs this thread; the one that holds the leader's advisory lock acts. It
wakes every second and by NOTIFY.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from config.db import connection, direct_engine
from config.redis import announce
from config.settings import settings
from models.jobs import dispatch, hints, lifecycle, nodes, transitions, turns
from models.jobs.claims import Superseded
from models.jobs.plan import Json
from tasks import admission, outbox, publisher, tracing

logger = logging.getLogger(__name__)

AGAIN_S = 4.0  # a hint of a step that was taken before, and that nobody took, is sent again
WEBHOOKS_EVERY_S = 1.0
TRACES_EVERY_S = 1.0
TURNS_EVERY_S = 3600.0
VERSIONS_EVERY_S = 5.0  # look for jobs whose pipeline nobody knows any more

WORKER_LOST: Json = {"code": "worker_lost", "message": "The worker that ran this step is gone."}
WORKER_LEFT: Json = {"code": "worker_left", "message": "The worker had to leave before its end."}
IDLE: Json = {"code": "idle", "message": "The step showed no progress for longer than it may."}
OVERDUE: Json = {"code": "deadline_exceeded", "message": "The job did not end by its deadline."}
CHANGED: Json = {
    "code": "pipeline_changed",
    "message": "No worker knows this version of the pipeline any more.",
}


class Dispatcher(threading.Thread):
    """The thread that dispatches and repairs while it leads."""

    def __init__(self) -> None:
        """Prepare; nothing is touched before `start`."""
        super().__init__(name="dispatcher", daemon=True)
        self.stopping = threading.Event()
        self._engine = direct_engine()
        self._last: dict[str, float] = {}
        self._admitted = ""  # the concurrency key after which the next look begins
        self._unknown: dict[tuple[str, str], float] = {}  # since when, by pipeline and version

    def run(self) -> None:
        """Lead whenever nobody else does, over every loss of Postgres."""
        while not self.stopping.is_set():
            try:
                with self._engine.connect() as conn:
                    self._serve(conn)
            except DBAPIError:
                logger.warning("Postgres is away; the dispatcher tries again")
            except Exception:  # a fault in one repair must not end all of them
                logger.exception("The dispatcher failed; it tries again")
            self.stopping.wait(settings.engine.dispatch_s)

    def _serve(self, direct: Connection) -> None:
        driver: Any = direct.connection.driver_connection
        direct.execute(text(f"LISTEN {dispatch.WAKE_CHANNEL}"))
        direct.commit()
        leads, ticked_at = False, -math.inf
        while not self.stopping.is_set():
            if not leads:
                leads = bool(
                    direct.execute(
                        text("SELECT pg_try_advisory_lock(:space, 0)"),
                        {"space": nodes.LEADER_LOCK},
                    ).scalar_one()
                )
                direct.commit()
            if leads and time.monotonic() - ticked_at >= settings.engine.dispatch_s:
                ticked_at = time.monotonic()
                self.tick()
            heard = driver.notifies(timeout=settings.engine.dispatch_s, stop_after=1)
            keys = {one.payload for one in heard}
            if leads:
                admission.admit(keys)

    def tick(self) -> None:
        """Repair, then publish what is due."""
        with connection() as conn:
            uptime_s = nodes.postgres_uptime_s(conn)
            live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
        repair(trust_silence=uptime_s > settings.engine.restart_grace_s)
        slots = nodes.slots(live)
        self._admitted = admission.admit_after(self._admitted)
        _resend_lost_hints(slots)
        publish_due(slots)
        self._every("webhooks", WEBHOOKS_EVERY_S, outbox.send_due)
        self._every("traces", TRACES_EVERY_S, tracing.tell_ended)
        self._every("versions", VERSIONS_EVERY_S, lambda: self._end_unknown(live))
        self._every("turns", TURNS_EVERY_S, _forget_turns)

    def _every(self, name: str, period_s: float, act: Callable[[], object]) -> None:
        at = time.monotonic()
        if at - self._last.setdefault(name, at) >= period_s:
            self._last[name] = at
            act()

    def _end_unknown(self, live: list[Row[Any]]) -> None:
        """End jobs of pipelines, or versions of them, that no worker has known for a while.

        While: in an upgrade the first job may come before the first worker that knows it.
        """
        known = {(name, print_) for node in live for name, print_ in node.fingerprints.items()}
        if not known:
            return
        with connection() as conn:
            jobs = dispatch.unknown_jobs(conn, known)
        at = time.monotonic()
        versions = {(job.pipeline, job.fingerprint) for job in jobs}
        self._unknown = {one: self._unknown.get(one, at) for one in versions}
        for job in jobs:
            if at - self._unknown[job.pipeline, job.fingerprint] >= settings.engine.changed_after_s:
                stop_job(job.id, CHANGED)


def publish_due(slots: dict[str, int]) -> None:
    """Publish due steps, as many as the workers' slots can soon take."""
    for queue, limit in publisher.hint_limits(slots).items():
        with connection() as conn:
            due = hints.take_due(conn, queue, limit)
        publisher.send(due)


def repair(*, trust_silence: bool) -> None:
    """Release what dead nodes, ended leases and idle steps hold; stop what is overdue.

    Shortly after Postgres itself has restarted, silence and free locks prove nothing.
    """
    if trust_silence:
        with connection() as conn:
            dead = nodes.dead_nodes(
                conn,
                silent_s=2 * settings.engine.beat_s,
                cut_off_s=settings.engine.dead_after_s,
            )
        for node in dead:
            logger.warning("Node %s on %s is dead", node.id, node.hostname)
            release_node(node.id)
        with connection() as conn:
            abandoned = dispatch.abandoned_steps(conn)
        release_all(abandoned, WORKER_LOST)
        with connection() as conn:
            idle = dispatch.idle_steps(conn)
        for row in idle:
            with connection() as conn:
                nodes.start_draining(conn, row.node)
        release_all(idle, IDLE)
    with connection() as conn:
        overdue = dispatch.overdue_jobs(conn)
    for job_id in overdue:
        stop_job(job_id, OVERDUE)


def release_node(node_id: UUID) -> None:
    """Give back all that a dead node ran, then forget it."""
    with connection() as conn:
        held = dispatch.steps_of_node(conn, node_id)
        dispatch.forget_hints_of_node(conn, node_id)
    release_all(held, WORKER_LOST)
    with connection() as conn:
        nodes.bury(conn, node_id)


def release_all(rows: list[Row[Any]], error: Json, *, counts: bool = True) -> None:
    """Take running steps away from attempts that are presumed dead, and publish them again.

    Unless they count, the attempts are no failures of the steps.
    """
    for row in rows:
        try:
            with connection() as conn:
                opened = transitions.release(conn, row, error, admission.expand, counts=counts)
        except Superseded:
            continue  # it ended, or somebody else was faster
        except admission.OtherVersion:
            stop_job(row.job_id, error)  # the next look finds its step and ends the job
            continue
        tracing.tell_lost(row, error)
        publisher.submit(one.step_id for one in opened)
        announce(row.job_id)


def stop_job(job_id: UUID, error: Json) -> None:
    """Ask a job to stop for a reason; it ends as failed."""
    with connection() as conn:
        lifecycle.request_cancel(conn, job_id, error=error)
    announce(job_id)


def _forget_turns() -> None:
    with connection() as conn:
        turns.forget_turns(conn)


def _resend_lost_hints(slots: dict[str, int]) -> None:
    with connection() as conn:
        running = dispatch.running_counts(conn)
        free = [queue for queue, count in slots.items() if running.get(queue, 0) < count]
        unclaimed_s = settings.engine.unclaimed_s
        dispatch.forget_lost_hints(conn, free, unclaimed_s, again_s=min(unclaimed_s, AGAIN_S))
