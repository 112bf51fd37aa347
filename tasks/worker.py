"""What a Celery worker adds to the app: the pipelines' tasks, the node's heart, the dispatcher."""

import gc
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

from celery import Task, bootsteps, signals
from celery.exceptions import WorkerLostError
from sqlalchemy.exc import DBAPIError

from config import tracing
from config.db import connection, engine
from config.settings import settings
from models.jobs import dispatch
from tasks import node
from tasks.celery import app
from tasks.declaration import Spec
from tasks.departure import Departure
from tasks.dispatcher import WORKER_LOST, Dispatcher, release_all
from tasks.pipeline import REGISTRY, Pipeline
from tasks.progress import draining
from tasks.runner import ELSEWHERE_S, carry_out
from tasks.toolbox import TOOLS

logger = logging.getLogger(__name__)

# The pool should see a child's death at once, misses many, and looks by itself every 5 s only.
CHILDREN_EVERY_S = 0.25
EVENTS_EVERY_S = 0.25


def register(pipeline: Pipeline, spec: Spec) -> None:
    """Make a step a Celery task, under the name by which operators know it."""

    @app.task(bind=True, name=f"{pipeline.name}.{spec.name}", queue=spec.options.queue)
    def task(self: "Task[Any, Any]", job_id: str, step_id: str, generation: int) -> None:
        if not carry_out(pipeline, spec, UUID(job_id), UUID(step_id), generation):
            self.request.chain = None


@signals.worker_init.connect
def register_all(**_: Any) -> None:
    """Register the steps of every declared pipeline: by now all modules are imported."""
    for pipeline in REGISTRY.values():
        for spec in pipeline.specs:
            register(pipeline, spec)


def preload(queues: Iterable[str]) -> None:
    """Load the tools of these queues' steps now, so that no first job waits for an import."""
    for pipeline in REGISTRY.values():
        for spec in pipeline.specs:
            if spec.options.queue in queues:
                for wanted in spec.needs.values():
                    if wanted in TOOLS:
                        TOOLS[wanted].provide()


class NodeStep(bootsteps.StartStopStep):
    """Starts and stops the threads of the worker's main process."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        """Celery makes one for each worker."""
        super().__init__(parent, **kwargs)
        self.threads: list[Any] = []
        self.departure = Departure(parent)
        self.queues = list(parent.app.amqp.queues.consume_from)
        self.forks = parent.pool_cls.__module__.endswith("prefork")
        if settings.engine.preload and self.forks:
            preload(self.queues)  # steps are made before the pool forks, so its children share it
        gc.freeze()  # what is loaded by now stays: no collection looks at it, no child copies it

    def start(self, parent: Any) -> None:
        """Begin to beat and to dispatch, and be ready to leave."""
        self.departure.start()
        if settings.engine.preload and not self.forks:
            Thread(target=preload, args=[self.queues], name="preload", daemon=True).start()
        if self.forks:
            parent.hub.call_repeatedly(CHILDREN_EVERY_S, parent.pool._pool.maintain_pool)
        heart = node.Heart({name: parent.concurrency for name in self.queues})
        self.threads = [heart, Dispatcher()]
        for thread in self.threads:
            thread.start()
        # What a worker takes before its first beat would be taken from it when its lease ends.
        heart.beating.wait(settings.engine.dead_after_s)

    def stop(self, parent: Any) -> None:
        """Leave in good order."""
        for thread in self.threads:
            thread.stopping.set()
        for thread in self.threads:
            thread.join(timeout=5)

    terminate = stop


class EventsStep(bootsteps.StartStopStep):
    """Sends what Flower hears of a moment in one message: one per task costs a third of it."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        """Celery makes one for each consumer."""
        super().__init__(parent, **kwargs)
        self.timer: Any = None

    def start(self, parent: Any) -> None:
        """Send at times, not at each turn of the loop."""
        if parent.hub is not None:
            parent.event_dispatcher.on_send_buffered = None
            flush = parent.event_dispatcher.flush
            self.timer = parent.hub.call_repeatedly(EVENTS_EVERY_S, flush)

    def stop(self, parent: Any) -> None:
        """Send what is left."""
        if self.timer is not None:
            self.timer.cancel()
            parent.event_dispatcher.flush()


app.steps["worker"].add(NodeStep)
app.steps["consumer"].add(EventsStep)


@signals.worker_process_init.connect
def _forget_inherited_connections(**_: Any) -> None:
    engine().dispose(close=False)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _send_traces(**_: Any) -> None:
    tracing.close()  # a child of the pool ends without Python's own farewell


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    draining.set()


@signals.task_failure.connect
def _child_died(exception: Exception, args: Any = None, **_: Any) -> None:
    """A child of the prefork pool was killed: its step is ready again at once."""
    if not isinstance(exception, WorkerLostError) or not args:
        return
    with connection() as conn:
        held = dispatch.steps_of_node(conn, node.current_id(), job_id=UUID(args[0]))
    release_all([row for row in held if not _alive(row.pid)], WORKER_LOST)


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@signals.task_unknown.connect
def _leave_to_another_worker(message: Any = None, **_: Any) -> None:
    """A pipeline that this worker does not know: another version of us may."""
    (_, step_id, _), *_ = json.loads(message.body)
    try:
        with connection() as conn:
            dispatch.put_back(conn, UUID(step_id), unless_fingerprint="", delay_s=ELSEWHERE_S)
    except DBAPIError:
        logger.warning("Postgres is away; the dispatcher will find the step")
