"""Deliveries: which are due, what an attempt came to, when the next one is.

They wait as rows and not as retried steps: a retry of days outlives the version of a pipeline, and
holds nothing meanwhile. Each attempt is a step of a job (`pipelines/webhooks/deliver.py`).
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, text, update
from sqlmodel import Session, col, select

from models.base import now
from models.counters import count
from models.errors import Conflict, NotFound
from models.webhooks.keeping import signing_secrets
from models.webhooks.tables import (
    DeliveryPublic,
    DeliveryStatus,
    Outcome,
    Webhook,
    WebhookDelivery,
)

# Seconds after each attempt; about three days in all. Source: Standard Webhooks, "Deliverability".
BACKOFF_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2  # part of a wait by which it differs, so that not all who failed come back at once
DISABLED_AFTER = timedelta(days=5)  # of nothing but failures: longer than one delivery is tried
GONE = 410  # the receiver wants no more
LEASE_S = 600  # an attempt whose job was lost is made again
AT_ONCE = 100  # deliveries of one job
FORGOTTEN_AT_ONCE = 10_000

# A receiver that fails is asked once at a time, so that it cannot hold the slots of others.
_TAKE = text(
    """
WITH taken AS (
    SELECT due.id FROM webhook, LATERAL (
        SELECT id FROM webhook_delivery
        WHERE webhook_id = webhook.id AND status IN ('pending', 'sending')
            AND next_attempt_at <= :now
        ORDER BY next_attempt_at
        LIMIT CASE WHEN webhook.failing_since IS NULL THEN 20 ELSE 1 END
        FOR UPDATE SKIP LOCKED
    ) due
    WHERE webhook.disabled_at IS NULL AND NOT EXISTS (
        SELECT FROM webhook_delivery
        WHERE webhook_id = webhook.id AND status = 'sending' AND next_attempt_at > :now
    )
    LIMIT :limit
)
UPDATE webhook_delivery SET status = 'sending', next_attempt_at = :until
FROM taken WHERE webhook_delivery.id = taken.id
RETURNING webhook_delivery.id
"""
)


class DeliveryNotFound(NotFound):
    """There is no such delivery."""

    code = "delivery_not_found"


class StillSending(Conflict):
    """This delivery is on its way already."""

    code = "delivery_under_way"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: its id, where to, the content, and the secrets that sign it."""

    id: str
    job_id: UUID
    url: str
    body: dict[str, Any]
    secrets: list[str] = field(repr=False)


def take_due(session: Session, at: datetime | None = None) -> list[UUID]:
    """Take the deliveries that are due, to be attempted within LEASE_S; return their ids."""
    moment = at or now()
    due = select(WebhookDelivery.id).where(
        col(WebhookDelivery.status).in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)),
        col(WebhookDelivery.next_attempt_at) <= moment,
    )
    if session.exec(due.limit(1)).first() is None:
        return []
    until = moment + timedelta(seconds=LEASE_S)
    found = session.connection().execute(_TAKE, {"now": moment, "until": until, "limit": AT_ONCE})
    return list(found.scalars())


def open_message(session: Session, delivery_id: UUID) -> Message | None:
    """Return what is to be sent; None if that is no longer wanted. Raises Unsealable."""
    query = select(WebhookDelivery, Webhook).join(Webhook).where(WebhookDelivery.id == delivery_id)
    found = session.exec(query).one_or_none()
    if found is None:
        return None
    delivery, webhook = found
    if delivery.status != DeliveryStatus.SENDING or webhook.disabled_at is not None:
        return None
    keys = signing_secrets(session, webhook.id)
    return Message(str(delivery.id), delivery.job_id, webhook.url, delivery.body, keys)


def note_outcomes(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Record what attempts came to, and decide when there is another one."""
    came: Counter[DeliveryStatus] = Counter()
    for outcome in sorted(outcomes, key=lambda one: one.at):
        query = select(WebhookDelivery, Webhook).join(Webhook)
        chosen = query.where(WebhookDelivery.id == outcome.delivery_id)
        # Not FOR UPDATE: jobs that end meanwhile refer to the webhook, and must not wait.
        found = session.exec(chosen.with_for_update(key_share=True)).one_or_none()
        if found is not None:
            _note(session, *found, outcome)
            came[found[0].status] += 1
    for status, number in sorted(came.items()):  # always in one order: rows are locked by it
        count(session, "webhook_attempts", number, label=status)


def _note(session: Session, delivery: WebhookDelivery, webhook: Webhook, told: Outcome) -> None:
    attempt = told.model_dump(mode="json", include={"at", "status", "problem", "took_ms"})
    delivery.attempts = [*delivery.attempts, attempt]
    if told.problem is None:
        delivery.status, delivery.next_attempt_at = DeliveryStatus.DELIVERED, None
        delivery.delivered_at = told.at
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or told.at
    tries = len(delivery.attempts)
    if told.hopeless or told.status == GONE or tries > len(BACKOFF_S):
        delivery.status, delivery.next_attempt_at = DeliveryStatus.FAILED, None
    else:
        delivery.status = DeliveryStatus.PENDING
        delivery.next_attempt_at = told.at + _wait(tries, told.retry_after_s)
    if told.status == GONE or told.at - webhook.failing_since > DISABLED_AFTER:
        _disable(session, webhook)


def _wait(tries: int, asked_s: float | None) -> timedelta:
    bound = BACKOFF_S[tries - 1] * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311 — jitter
    return timedelta(seconds=max(bound, min(asked_s or 0, BACKOFF_S[-1])))


def _disable(session: Session, webhook: Webhook) -> None:
    """Tell an address nothing any more, until its owner enables it again."""
    webhook.disabled_at = now()
    session.flush()
    session.execute(
        update(WebhookDelivery)
        .where(
            col(WebhookDelivery.webhook_id) == webhook.id,
            col(WebhookDelivery.status) != DeliveryStatus.DELIVERED,
        )
        .values(status=DeliveryStatus.FAILED, next_attempt_at=None)
    )


def waiting_figures(conn: Connection) -> Row[Any]:
    """Return (pending, oldest_s, late_s) of deliveries that are still tried.

    `oldest_s`: since the oldest was told, `late_s`: since the attempt that is due the longest.
    """
    moment = func.clock_timestamp()
    oldest = func.extract("epoch", moment - func.min(col(WebhookDelivery.created_at)))
    late = func.extract("epoch", moment - func.min(col(WebhookDelivery.next_attempt_at)))
    query = select(
        func.count().label("pending"),
        func.coalesce(oldest, 0).label("oldest_s"),
        func.greatest(late, 0).label("late_s"),
    ).where(col(WebhookDelivery.status).in_((DeliveryStatus.PENDING, DeliveryStatus.SENDING)))
    return conn.execute(query).one()


def list_deliveries(
    session: Session,
    webhook: Webhook,
    *,
    status: DeliveryStatus | None,
    before: UUID | None,
    limit: int,
) -> list[DeliveryPublic]:
    """Return a webhook's deliveries, newest first, those older than `before`."""
    query = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook.id)
    if status is not None:
        query = query.where(WebhookDelivery.status == status)
    if before is not None:
        query = query.where(col(WebhookDelivery.id) < before)
    found = session.exec(query.order_by(col(WebhookDelivery.id).desc()).limit(limit))
    return [DeliveryPublic.model_validate(one, from_attributes=True) for one in found]


def redeliver(session: Session, webhook: Webhook, delivery_id: UUID) -> DeliveryPublic:
    """Send an event again, as the same message, from the first attempt on.

    Raises DeliveryNotFound, StillSending.
    """
    row = session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if row is None or row.webhook_id != webhook.id:
        raise DeliveryNotFound()
    if row.status == DeliveryStatus.SENDING:
        raise StillSending()
    row.status, row.next_attempt_at, row.attempts = DeliveryStatus.PENDING, now(), []
    session.flush()
    return DeliveryPublic.model_validate(row, from_attributes=True)


def forget_deliveries(session: Session, *, before: datetime) -> int:
    """Delete deliveries that are over and older than a moment; return how many."""
    over = (DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)
    old = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.created_at < before, col(WebhookDelivery.status).in_(over))
        .limit(FORGOTTEN_AT_ONCE)
    )
    gone: Any = session.execute(delete(WebhookDelivery).where(col(WebhookDelivery.id).in_(old)))
    return int(gone.rowcount)
