"""Celery, as operators see it: broker, queues, routes, limits.

Messages carry ids only; every state lies in Postgres. So most of Celery's own safety nets (results,
retries, ETAs, chords, redelivery) are off on purpose: the engine has its own, in the database.
"""

from kombu import Exchange, Queue

from config import broker as _broker
from config.settings import settings as _settings

broker_url = _broker.broker_url(_settings)
broker_connection_retry_on_startup = True
broker_transport_options = _broker.transport_options(_settings)
broker_pool_limit = 100  # opened when needed; each thread of Flower holds two, with 4 it hangs
task_publish_retry = False  # a hint that cannot be sent is sent by the dispatcher

# One queue per resource: threads that wait, processes that compute, people who watch; the last one
# gets work only while a worker for it lives, and no worker of the Procfile does.
task_queues = tuple(
    Queue(name, Exchange(name), name, queue_arguments=_broker.queue_arguments(_settings))
    for name in ("io", "cpu", "stream", "booknlp")
)
task_default_delivery_mode = "transient"  # a hint need not survive the broker's restart
task_default_queue = "io"
task_create_missing_queues = True

imports = ("pipelines", "tasks.worker")
task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_store_errors_even_if_ignored = False
task_acks_late = True
task_reject_on_worker_lost = False  # with True the parent never hears of a dead child
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = False
# After a restart of RabbitMQ, Celery would widen the prefetch from a thread of the pool. It waits
# for the answer on the connection that the event loop reads, and no task would ever be taken again.
worker_enable_prefetch_count_reduction = False
worker_send_task_events = True  # for Flower
task_send_sent_event = False
worker_hijack_root_logger = False
# On SIGTERM steps are handed over at their next safe point; those that show none within this time
# are taken from us. `tasks/departure.py` sees to it, Celery's own soft shutdown sleeps it out.
worker_soft_shutdown_timeout = _settings.engine.leave_s
worker_enable_remote_control = True
enable_utc = True
timezone = "UTC"
