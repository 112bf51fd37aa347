"""Webhooks: addresses that are told when jobs end or wait."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.deps import Limit, Owner, SessionDep
from api.dialects import speaking
from models.jobs.queries import get_job
from models.webhooks import deliveries, keeping
from models.webhooks.tables import (
    DeliveryPublic,
    DeliveryStatus,
    Webhook,
    WebhookCreate,
    WebhookPublic,
    WebhookUpdate,
    WebhookWithSecret,
)

router = APIRouter(tags=["webhooks"], **speaking("engine"))

Before = Annotated[UUID | None, Query(description="`next` of the page before.")]
MAX_OVERLAP_S = 30 * 86_400


class WebhookPage(BaseModel):
    """A page of webhooks, newest first; `next` is the cursor of the page after it."""

    webhooks: list[WebhookPublic]
    next: UUID | None


class DeliveryPage(BaseModel):
    """A page of deliveries, newest first; `next` is the cursor of the page after it."""

    deliveries: list[DeliveryPublic]
    next: UUID | None


class Rotate(BaseModel):
    """For how long the secrets before the new one sign along, in seconds."""

    overlap_s: int = Field(default=86_400, ge=0, le=MAX_OVERLAP_S)


class NameWebhook(BaseModel):
    """A webhook to be told of a job."""

    webhook_id: UUID


def _told(row: Webhook) -> WebhookPublic:
    return WebhookPublic.model_validate(row, from_attributes=True)


def _with_secret(row: Webhook, secret: str) -> WebhookWithSecret:
    return WebhookWithSecret(**_told(row).model_dump(), secret=secret)


@router.post("/webhooks", status_code=201)
def create_webhook(body: WebhookCreate, session: SessionDep, owner: Owner) -> WebhookWithSecret:
    """Have an address told of your jobs, by the Standard Webhooks specification.

    The answer holds the signing secret, this once. What cannot be delivered is tried again over
    about three days; an address that fails for five days, or answers 410, is told nothing more.
    """
    return _with_secret(*keeping.keep_webhook(session, body, owner=owner))


@router.get("/webhooks")
def read_webhooks(
    session: SessionDep, owner: Owner, limit: Limit = 20, before: Before = None
) -> WebhookPage:
    """Your webhooks, newest first."""
    rows = keeping.list_webhooks(session, owner=owner, before=before, limit=limit)
    told = [_told(row) for row in rows]
    return WebhookPage(webhooks=told, next=told[-1].id if len(told) == limit else None)


@router.get("/webhooks/{webhook_id}")
def read_webhook(webhook_id: UUID, session: SessionDep, owner: Owner) -> WebhookPublic:
    """A webhook as it is now."""
    return _told(keeping.get_webhook(session, webhook_id, owner=owner))


@router.patch("/webhooks/{webhook_id}")
def change_webhook(
    webhook_id: UUID, body: WebhookUpdate, session: SessionDep, owner: Owner
) -> WebhookPublic:
    """Change what you name; `enabled: true` takes one up again that was disabled."""
    row = keeping.get_webhook(session, webhook_id, owner=owner, to_change=True)
    return _told(keeping.change_webhook(session, row, body))


@router.delete("/webhooks/{webhook_id}", status_code=204)
def delete_webhook(webhook_id: UUID, session: SessionDep, owner: Owner) -> None:
    """Forget an address, with its deliveries."""
    session.delete(keeping.get_webhook(session, webhook_id, owner=owner, to_change=True))


@router.post("/webhooks/{webhook_id}/rotate")
def rotate_secret(
    webhook_id: UUID, body: Rotate, session: SessionDep, owner: Owner
) -> WebhookWithSecret:
    """Make a new signing secret, shown this once. Those before it sign along for a while."""
    row = keeping.get_webhook(session, webhook_id, owner=owner, to_change=True)
    return _with_secret(row, keeping.rotate_secret(session, row, overlap_s=body.overlap_s))


@router.get("/webhooks/{webhook_id}/deliveries")
def read_deliveries(
    webhook_id: UUID,
    session: SessionDep,
    owner: Owner,
    limit: Limit = 20,
    status: DeliveryStatus | None = None,
    before: Before = None,
) -> DeliveryPage:
    """What a webhook was told and how each attempt went, newest first."""
    row = keeping.get_webhook(session, webhook_id, owner=owner)
    found = deliveries.list_deliveries(session, row, status=status, before=before, limit=limit)
    return DeliveryPage(deliveries=found, next=found[-1].id if len(found) == limit else None)


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202)
def redeliver(
    webhook_id: UUID, delivery_id: UUID, session: SessionDep, owner: Owner
) -> DeliveryPublic:
    """Send a message again, under the same id."""
    row = keeping.get_webhook(session, webhook_id, owner=owner)
    return deliveries.redeliver(session, row, delivery_id)


@router.post("/jobs/{job_id}/webhooks", status_code=204)
def name_webhook(job_id: str, body: NameWebhook, session: SessionDep, owner: Owner) -> None:
    """Have one of your webhooks told of this job, also if it has ended by now."""
    job = get_job(session, job_id, owner=owner)
    webhook = keeping.get_webhook(session, body.webhook_id, owner=owner)
    keeping.name_webhook(session, job.id, webhook)
