"""Sends hints to the broker, from one thread per process, so that nobody ever waits for a broker.

Postgres says what is due; this only speeds things up. Whatever is not sent here, because the queue
is full, the broker is away or the process dies, the dispatcher sends.
"""

import logging
import math
import os
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from amqp.exceptions import AMQPError
from celery import chain
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import DBAPIError

from config import broker
from config.db import connection
from config.settings import settings
from models.jobs import dispatch, hints, nodes
from models.jobs.hints import Hint
from tasks.celery import app

logger = logging.getLogger(__name__)

BACKLOG = 10_000  # step ids waiting to be sent; beyond that the dispatcher does it
HINTS_PER_SLOT = 2  # one that runs and one that waits: more would only defeat priorities
_LOOK_EVERY_S = 1.0

_broker_failures: tuple[type[Exception], ...] = (BrokerError, OSError, AMQPError)


class _Publisher:
    """The thread and its queue, of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # Hints that are marked as published, steps that are not, and names of queues to refill.
        self.waiting: queue.Queue[Hint | UUID | str] = queue.Queue(BACKLOG)
        self.limits: dict[str, int] = {}
        self.room: dict[str, int] = {}  # how many more hints may be on their way, by queue
        self.read_at = -math.inf
        threading.Thread(target=self.run, name="publisher", daemon=True).start()

    def run(self) -> None:
        """Send what is submitted, in batches, for as long as the process lives."""
        while True:
            batch = [self.waiting.get()]
            while len(batch) < 100 and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            try:
                send([one for one in batch if isinstance(one, Hint)])
                looked = self.look()
                send(self.take([one for one in batch if not isinstance(one, Hint)]))
                if looked:
                    self.measure()  # now that what was asked for does not wait any more
            except DBAPIError:
                logger.warning("Postgres is away; the dispatcher will send %d hints", len(batch))

    def take(self, batch: Sequence[UUID | str]) -> list[Hint]:
        """Mark what is asked for as published, as far as there is room."""
        if not (batch and self.limits):
            return []
        steps = [one for one in batch if isinstance(one, UUID)]
        with connection() as conn:
            found = hints.take(conn, steps, self.limits) if steps else []
            for name in {one for one in batch if isinstance(one, str)} & self.limits.keys():
                limit = self.limits[name]
                found += hints.take_due(conn, name, limit, at_least=limit // HINTS_PER_SLOT)
        return found

    def look(self) -> bool:
        """Find out how many hints may be on their way, unless that was done within the second."""
        if time.monotonic() - self.read_at < _LOOK_EVERY_S:
            return False
        self.read_at = time.monotonic()
        with connection() as conn:
            live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
            self.limits = hint_limits(nodes.slots(live))
        return True

    def measure(self) -> None:
        """Find out how many more hints may be on their way without anybody being passed over."""
        with connection() as conn:
            self.room = dispatch.room(conn, self.limits)


_lock = threading.Lock()
_current: _Publisher | None = None


def reserve(queue_name: str) -> bool:
    """Say whether a new step of a queue may be marked as published without asking Postgres first.

    There is room for it by what was known a second of work ago; where work piles up there is none,
    and turns are taken.
    """
    publisher = _publisher()
    with _lock:
        free = publisher.room.get(queue_name, 0)
        publisher.room[queue_name] = free - 1
    return free > 0


def forget_room() -> None:
    """Reserve nothing before somebody has looked again: this is another database."""
    if _current is not None:
        _current.room, _current.limits, _current.read_at = {}, {}, -math.inf


def submit(wanted: Iterable[Hint | UUID]) -> None:
    """Have hints, or these steps' hints, sent soon. Never blocks, never raises."""
    _ask(wanted)


def refill(queue_name: str) -> None:
    """Have hints of a queue sent, now that a slot of it is free. Never blocks, never raises."""
    _ask([queue_name])


def _publisher() -> _Publisher:
    global _current
    if _current is None or _current.pid != os.getpid():  # also after a fork
        with _lock:
            if _current is None or _current.pid != os.getpid():
                _current = _Publisher()
    return _current


def _ask(wanted: Iterable[Hint | UUID | str]) -> None:
    for one in wanted:
        try:
            _publisher().waiting.put_nowait(one)
        except queue.Full:
            return


def hint_limits(slots: dict[str, int]) -> dict[str, int]:
    """Return how many hints may be on their way, by queue, for so many slots."""
    return {name: HINTS_PER_SLOT * count for name, count in slots.items()}


def send(marked: list[Hint]) -> None:
    """Send hints that were marked as published; take the mark back if the broker refuses."""
    if not marked:
        return
    sent = 0
    try:
        with _connection() as opened, app.amqp.Producer(opened) as producer:
            for hint in marked:
                _signature(hint).apply_async(producer=producer)
                sent += 1
    except _broker_failures as error:
        what = type(error).__name__
        logger.warning("The broker took %d of %d hints: %s", sent, len(marked), what)
        with connection() as conn:
            dispatch.unpublish(conn, [hint.step_id for hint in marked[sent:]])


_local = threading.local()


class _Borrowed:
    """This thread's broker connection, dropped when it fails."""

    def __enter__(self) -> Any:
        if getattr(_local, "pid", None) != os.getpid():
            options = app.conf.broker_transport_options | broker.publish_options(settings)
            _local.connection = app.connection_for_write(transport_options=options)
            _local.pid = os.getpid()
        return _local.connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            del _local.pid


def _connection() -> _Borrowed:
    return _Borrowed()


def _signature(hint: Hint) -> Any:
    links = [_one(link) for link in (hint, *hint.then)]
    return chain(*links) if len(links) > 1 else links[0]


def _one(hint: Hint) -> Any:
    return app.signature(
        f"{hint.pipeline}.{hint.name}",
        args=(str(hint.job_id), str(hint.step_id), hint.generation),
        immutable=True,
        task_id=str(hints.task_id(hint.step_id, hint.generation)),
        queue=hint.queue,
        priority=broker.priority(
            hint.priority, highest_first=broker.is_rabbitmq(app.conf.broker_url)
        ),
    )
