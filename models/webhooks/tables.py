"""The tables of webhooks, and how people fill them in and see them.

What is to be told is written by a trigger on `job` (see the migration), in the transaction in which
the job ends or begins to wait.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import CheckConstraint, Column, Index, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from models.base import jsonb, new_id, one_of, timestamp
from models.jobs import tables as jobs  # noqa: F401 — webhooks of one job refer to it


class EventType(StrEnum):
    """What a webhook can be told of a job."""

    SUCCEEDED = "job.succeeded"
    DEGRADED = "job.succeeded_degraded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    WAITING = "job.waiting"  # for a person's answer


class DeliveryStatus(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"  # for good, unless somebody asks for it again


class Webhook(SQLModel, table=True):
    """An address that is told of its owner's jobs."""

    __table_args__ = (Index("ix_webhook_owner_id_id", "owner_id", "id"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    url: str
    description: str = ""
    events: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    every_job: bool = True  # False: only those that name it
    failing_since: datetime | None = timestamp(nullable=True)
    disabled_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)
    changed_at: datetime = timestamp(default_now=True)


class WebhookSecret(SQLModel, table=True):
    """A sealed signing secret; two are good at a time while one replaces the other."""

    __tablename__ = "webhook_secret"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    webhook_id: UUID = Field(foreign_key="webhook.id", ondelete="CASCADE", index=True)
    sealed: str = Field(repr=False)
    created_at: datetime = timestamp(default_now=True)
    expires_at: datetime | None = timestamp(nullable=True)


class JobWebhook(SQLModel, table=True):
    """A job that names a webhook."""

    __tablename__ = "job_webhook"

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    webhook_id: UUID = Field(
        primary_key=True, foreign_key="webhook.id", ondelete="CASCADE", index=True
    )


class WebhookDelivery(SQLModel, table=True):
    """One event for one webhook. Its id is the message's, whenever and however often it is sent."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(DeliveryStatus)})", name="status_is_known"),
        Index("ix_webhook_delivery_webhook_id_id", "webhook_id", "id"),
        Index(
            "ix_webhook_delivery_due",
            "webhook_id",
            "next_attempt_at",
            postgresql_where=text("status IN ('pending', 'sending')"),
        ),
        Index("ix_webhook_delivery_created_at", "created_at"),
    )

    id: UUID = Field(primary_key=True)
    webhook_id: UUID = Field(foreign_key="webhook.id", ondelete="CASCADE")
    job_id: UUID  # of a job that may have been forgotten
    event: str
    body: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    status: DeliveryStatus = Field(
        default=DeliveryStatus.PENDING,
        sa_column=Column(String, nullable=False, server_default="pending"),
    )
    attempts: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=jsonb(nullable=False, default="[]")
    )
    next_attempt_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)
    delivered_at: datetime | None = timestamp(nullable=True)


Address = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Events = Annotated[list[EventType], Field(min_length=1, max_length=len(EventType))]


class WebhookCreate(BaseModel):
    """An address to tell. `every_job: false`: only of jobs that name the webhook."""

    model_config = ConfigDict(extra="forbid")

    url: Address
    events: Events = list(EventType)
    description: Description = ""
    every_job: bool = True


class WebhookUpdate(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    url: Address | None = None
    events: Events | None = None
    description: Description | None = None
    every_job: bool | None = None
    enabled: bool | None = None


class WebhookPublic(BaseModel):
    """A webhook as its owner sees it."""

    id: UUID
    url: str
    description: str
    events: list[EventType]
    every_job: bool
    failing_since: datetime | None
    disabled_at: datetime | None
    created_at: datetime
    changed_at: datetime


class WebhookWithSecret(WebhookPublic):
    """A webhook with a new signing secret, which is shown this once."""

    secret: str


class AttemptPublic(BaseModel):
    """One attempt of a delivery."""

    at: datetime
    status: int | None  # of the answer, if there was one
    problem: str | None
    took_ms: int


class DeliveryPublic(BaseModel):
    """A delivery as the webhook's owner sees it."""

    id: UUID
    job_id: UUID
    event: EventType
    body: dict[str, Any]
    status: DeliveryStatus
    attempts: list[AttemptPublic]
    next_attempt_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None


class Outcome(BaseModel):
    """What came of one attempt to deliver."""

    delivery_id: UUID
    at: datetime
    status: int | None = None
    problem: str | None = None
    took_ms: int = 0
    retry_after_s: float | None = None  # what the receiver asked for
    hopeless: bool = False  # no repetition will help
