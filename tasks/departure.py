"""How a worker leaves when it is told to (SIGTERM, Ctrl-C): its steps first, then itself.

TERM ──► a flag that steps see at their next safe point ──► nothing held ──► warm shutdown
                                    └ none within `leave_s` ──► taken from us ──► cold shutdown

Celery's own soft shutdown sleeps its whole time inside the signal handler, whatever happens, and
says only afterwards that the worker leaves. Here the event loop goes on meanwhile: results of
children are read, the rest of a chain is published, messages are acknowledged.
"""

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from billiard.process import active_children
from celery.platforms import EX_FAILURE, EX_OK
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from config.db import connection
from config.settings import settings
from models.jobs import dispatch
from tasks import node
from tasks.dispatcher import WORKER_LEFT, release_all
from tasks.progress import draining

logger = logging.getLogger(__name__)

POLL_S = 0.05
STOP_S = 5.0  # what Celery's components have to stop; a broker that hangs would keep them for ever


class Departure(threading.Thread):
    """Waits to be told to leave, then sees to it that the worker does."""

    def __init__(self, worker: Any) -> None:
        """Prepare the departure of a Celery `WorkController`."""
        super().__init__(name="departure", daemon=True)
        self._worker = worker
        self._told, self._bell = os.pipe()  # a signal handler may write, and take no lock

    def start(self) -> None:
        """Answer SIGTERM and Ctrl-C from now on. For the main thread."""
        super().start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_: Any) -> None:
        draining.set()
        os.write(self._bell, b"!")

    def run(self) -> None:
        """Leave once told to."""
        os.read(self._told, 1)
        logger.info("Told to leave: steps are handed over at their next safe point")
        self._worker.hub.call_soon(self._consume_no_more)
        deadline = time.monotonic() + settings.engine.leave_s
        while state.reserved_requests and time.monotonic() < deadline:
            time.sleep(POLL_S)
        held_up = bool(state.reserved_requests)
        if held_up:
            self._let_go()
            self._worker.exitcode = EX_FAILURE  # Celery takes none from a cold shutdown
            state.should_terminate = EX_FAILURE  # type: ignore[assignment]
        else:
            state.should_stop = EX_OK  # type: ignore[assignment]
        self._worker.hub.call_soon(logger.info, "Leaving")  # wakes the loop, which looks at these
        stopped = self._worker.blueprint.shutdown_complete.wait(STOP_S)
        if held_up or not stopped:
            os._exit(EX_FAILURE)  # an ordinary exit would wait for the pool's threads

    def _consume_no_more(self) -> None:
        consumer = self._worker.consumer
        if consumer.task_consumer is not None:
            with suppress(*consumer.connection_errors):
                consumer.task_consumer.cancel()

    def _let_go(self) -> None:
        """Give up what is still held; its attempts do not count, they were only in the way."""
        with suppress(SQLAlchemyError):  # without Postgres the leases end by themselves
            with connection() as conn:
                held = dispatch.steps_of_node(conn, node.current_id())
            logger.warning("%d steps show no progress and are taken away", len(held))
            release_all(held, WORKER_LEFT, counts=False)
        for child in active_children():
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)  # nothing else: TERM it ignores
