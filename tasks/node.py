"""This worker as a node: its id, its beats, and the lock that tells others that it lives.

The lock is a session-level advisory lock on a direct connection. When the process is killed the
kernel closes the connection and Postgres frees the lock within milliseconds.
"""

import logging
import os
import signal
import socket
import threading
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from config.db import direct_engine
from config.settings import settings
from models.base import new_id
from models.jobs import nodes
from tasks.pipeline import REGISTRY
from tasks.progress import draining

logger = logging.getLogger(__name__)

_id: UUID = new_id()


def current_id() -> UUID:
    """Return the id of the worker that this process, or the parent that forked it, is."""
    return _id


class Heart(threading.Thread):
    """Holds the node's lock and beats."""

    def __init__(self, slots: dict[str, int]) -> None:
        """Beat for a worker that can run so many steps at once, by queue."""
        super().__init__(name="heart", daemon=True)
        self.slots = slots
        self.stopping = threading.Event()
        self.beating = threading.Event()  # others know of this node
        self._engine = direct_engine()

    def run(self) -> None:
        """Beat until stopped, over every loss of Postgres."""
        while not self.stopping.is_set():
            try:
                with self._engine.connect() as conn:
                    conn.execute(
                        text("SELECT pg_advisory_lock(:space, :key)"),
                        {"space": nodes.NODE_LOCK, "key": nodes.lock_key(_id)},
                    )
                    conn.commit()
                    self._beat(conn)
            except DBAPIError:
                logger.warning("Postgres is away; this node's heart tries again")
                self.stopping.wait(settings.engine.beat_s / 2)

    def _beat(self, conn: Connection) -> None:
        while not self.stopping.is_set():
            with conn.begin():
                told_to_drain = nodes.beat(
                    conn, self._values(), lease_s=settings.engine.dead_after_s
                )
            self.beating.set()
            if told_to_drain and not draining.is_set():
                logger.warning("Told to drain: an operator asked, or a step ran past its deadline")
                draining.set()
                os.kill(os.getpid(), signal.SIGTERM)
            self.stopping.wait(settings.engine.beat_s)
        with conn.begin():
            nodes.leave(conn, _id)

    def _values(self) -> dict[str, object]:
        return {
            "id": _id,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "slots": self.slots,
            "fingerprints": {name: p.fingerprint for name, p in REGISTRY.items()},
            "draining": draining.is_set(),
        }
