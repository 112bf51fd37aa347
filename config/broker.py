"""The broker: Redis (or Valkey), or the RabbitMQ that `BROKER_URL` names. Both only carry hints."""

from typing import Any

from config.settings import Settings

HELD_S = 12 * 3600  # how long a worker may hold a hint: redelivery is the dispatcher's work
READ_FACTOR = 10  # a worker waits so many times as long for the broker as a publisher does
PRIORITIES = 10
USUAL = 5  # the priority of a job that asks for none


def broker_url(configured: Settings) -> str:
    """Return Celery's broker address: its own if there is one, else Redis."""
    url = configured.broker.url or configured.redis.url
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


def is_rabbitmq(url: str) -> bool:
    """Say whether an address is that of a server that speaks AMQP."""
    return url.startswith(("amqp://", "amqps://", "pyamqp://"))


def transport_options(configured: Settings) -> dict[str, Any]:
    """Return kombu's options for a worker's connections."""
    if is_rabbitmq(broker_url(configured)):
        # No confirms: an event is published by whichever thread a step runs in, and the event loop
        # reads what comes on that connection. It would take the confirm that the thread waits for.
        return _amqp_timeouts(configured.redis.timeout_s * READ_FACTOR)
    return {
        "visibility_timeout": HELD_S,
        "socket_timeout": configured.redis.timeout_s * READ_FACTOR,  # a blocking read
        "socket_connect_timeout": configured.redis.timeout_s,
        "priority_steps": [0, 3, 6, 9],
    }


def publish_options(configured: Settings) -> dict[str, Any]:
    """Return what differs for the publisher, which gives up on a broker that hangs soon."""
    timeout_s = configured.redis.timeout_s
    if is_rabbitmq(broker_url(configured)):
        # A message counts as sent when the server has confirmed it. There is one try: while kombu
        # made others, the dispatcher would repair nothing.
        return _amqp_timeouts(timeout_s) | {"confirm_publish": True, "max_retries": 0}
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry_on_timeout": False,
    }


def _amqp_timeouts(timeout_s: float) -> dict[str, Any]:
    return dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), timeout_s)


def queue_arguments(configured: Settings) -> dict[str, Any]:
    """Return what RabbitMQ is told when a queue is declared. Older versions ignore the second."""
    if not is_rabbitmq(broker_url(configured)):
        return {}
    return {"x-max-priority": PRIORITIES, "x-consumer-timeout": HELD_S * 1000}


def priority(urgency: int, *, highest_first: bool) -> int:
    """Return a message's priority: the highest goes first on RabbitMQ, the lowest on Redis."""
    return min(PRIORITIES - 1, max(0, USUAL + (urgency if highest_first else -urgency)))
