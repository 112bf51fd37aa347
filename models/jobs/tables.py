"""The tables of jobs. In Postgres alone lies the truth about a job.

A *job* is one execution of a pipeline; its *step* rows are its plan. An *event* is one line of the
job's log; a *stream segment* holds the model tokens it has streamed.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlmodel import Field, SQLModel

from models import accounts  # noqa: F401 — jobs refer to users
from models.base import jsonb, new_id, timestamp

NOBODY = UUID(int=0)


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # for a person's answer
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    SUCCEEDED_DEGRADED = "succeeded_degraded"  # some items failed, by the step's policy
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step is in its life."""

    PENDING = "pending"  # a predecessor is not done
    READY = "ready"  # may run; a hint may be on its way
    RUNNING = "running"
    WAITING = "waiting"  # for a person's answer
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset(
    {JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_DEGRADED, JobStatus.FAILED, JobStatus.CANCELLED}
)
STEP_TERMINAL = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.CANCELLED})


# One CHECK per table, and no IN: Postgres reads each anew with every statement that writes a row.
def _any_of(values: Iterable[StrEnum]) -> str:
    return f"ANY ('{{{','.join(values)}}}'::varchar[])"


ACTIVE_SIBLING = (  # of steps that run side by side: it goes on without a person
    f"chain IS NULL AND status = {_any_of((StepStatus.READY, StepStatus.RUNNING))}"
)


def _owner() -> Any:
    """Declare the owner of a row; workers of versions that do not name it leave NOBODY."""
    return Field(
        default=NOBODY, sa_column=Column(Uuid, nullable=False, server_default=text(f"'{NOBODY}'"))
    )


class Job(SQLModel, table=True):
    """One execution of a pipeline."""

    __table_args__ = (
        CheckConstraint(
            "CASE WHEN finished_at IS NULL "
            f"THEN status = {_any_of(one for one in JobStatus if one not in TERMINAL)} "
            f"ELSE status = {_any_of(one for one in JobStatus if one in TERMINAL)} END",
            name="status_fits",
        ),
        Index("ix_job_owner_id_id", "owner_id", "id"),
        Index("ix_job_finished_at", "finished_at"),
        Index(
            "ix_job_held",
            "concurrency_key",
            "priority",
            "id",
            postgresql_where=text(
                "concurrency_key IS NOT NULL AND admitted_at IS NULL AND finished_at IS NULL"
            ),
        ),
        Index(
            "ix_job_admitted",
            "concurrency_key",
            postgresql_where=text(
                "concurrency_key IS NOT NULL AND admitted_at IS NOT NULL AND finished_at IS NULL"
            ),
        ),
        Index("ix_job_live", "status", postgresql_where=text("finished_at IS NULL")),
        Index("ix_job_deadline", "deadline_at", postgresql_where=text("finished_at IS NULL")),
        Index(
            "ix_job_untold",
            "id",
            postgresql_where=text(
                "traceparent IS NOT NULL AND traced_at IS NULL AND finished_at IS NOT NULL"
            ),
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    public_id: str | None = Field(default=None, unique=True)
    pipeline: str
    fingerprint: str
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    input: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    status: JobStatus = Field(default=JobStatus.QUEUED, sa_column=Column(String, nullable=False))
    progress: float = 0.0  # 0..1
    fused: bool = False  # consecutive steps of one queue run inside one task
    parts: int = Field(sa_column=Column(SmallInteger, nullable=False))  # positions of the plan
    priority: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    event_seq: int = 0  # number of the last event
    error: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    parent_id: UUID | None = Field(
        default=None, foreign_key="job.id", ondelete="SET NULL", index=True
    )
    forked_from: UUID | None = Field(
        default=None, foreign_key="job.id", ondelete="SET NULL", index=True
    )
    traceparent: str | None = None  # of the span that started it; empty: it is not traced
    traced_at: datetime | None = timestamp(nullable=True)  # when its own span was sent
    concurrency_key: str | None = None  # of its jobs only so many run at once
    concurrency_limit: int | None = Field(default=None, sa_column=Column(SmallInteger))
    admitted_at: datetime | None = timestamp(nullable=True)  # with a key: since when it has a place
    cancel_requested_at: datetime | None = timestamp(nullable=True)
    deadline_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)
    started_at: datetime | None = timestamp(nullable=True)
    finished_at: datetime | None = timestamp(nullable=True)


class Step(SQLModel, table=True):
    """One step of one job, or one item of a step that runs once for each of a list."""

    __table_args__ = (
        CheckConstraint(
            f"status = {_any_of(StepStatus)} "
            "AND (status = 'running') = (lease_until IS NOT NULL) "
            "AND (status <> 'succeeded' OR output IS NOT NULL)",
            name="status_fits",
        ),
        UniqueConstraint("job_id", "position", "name", "item_key", name="uq_step_place"),
        Index(
            "ix_step_due",
            "queue",
            text("priority DESC"),
            "id",
            postgresql_where=text("status = 'ready' AND published_at IS NULL"),
        ),
        Index(
            "ix_step_turn",
            "queue",
            "owner_id",
            "priority",
            "id",
            postgresql_where=text("status = 'ready' AND published_at IS NULL"),
        ),
        Index(
            "ix_step_published",
            "queue",
            "published_at",
            postgresql_where=text("status = 'ready' AND published_at IS NOT NULL"),
        ),
        Index("ix_step_running", "node", postgresql_where=text("status = 'running'")),
        Index(
            "ix_step_active",
            "job_id",
            "position",
            "item_index",
            postgresql_where=text(ACTIVE_SIBLING),
        ),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE")
    owner_id: UUID = _owner()  # of its job
    position: int = Field(sa_column=Column(SmallInteger, nullable=False))
    name: str
    item_key: str = ""
    item_index: int = 0
    optional: bool = False  # its failure leaves the job degraded, not failed
    fan_out: bool = False  # stands for the items of an `each` that are not known yet
    chain: int | None = None  # rows with the same number are published as one Celery chain
    queue: str
    priority: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    status: StepStatus = Field(default=StepStatus.PENDING, sa_column=Column(String, nullable=False))
    generation: int = 1  # which publication is the valid one
    attempt: int = 0
    max_attempts: int
    epoch: int = 0  # fencing number of the attempt
    node: UUID | None = None
    pid: int | None = None
    lease_until: datetime | None = timestamp(nullable=True)
    idle_deadline: datetime | None = timestamp(nullable=True)
    ready_at: datetime | None = timestamp(nullable=True)  # not before; empty: at once
    published_at: datetime | None = timestamp(nullable=True)
    progress: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    checkpoint: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    question: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    answer: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    output: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    error: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    created_at: datetime = timestamp(default_now=True)
    started_at: datetime | None = timestamp(nullable=True)
    finished_at: datetime | None = timestamp(nullable=True)


class JobEvent(SQLModel, table=True):
    """One line of a job's log. Numbers are dense from 1."""

    __tablename__ = "job_event"

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    seq: int = Field(primary_key=True)
    type: str
    data: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    at: datetime = timestamp(default_now=True)


class StreamSegment(SQLModel, table=True):
    """A run of streamed entries of one attempt.

    Entry k (from 1) of the attempt with epoch e has the number e * 10**9 + k: numbers grow over
    attempts without anyone having to remember the last one."""

    __tablename__ = "stream_segment"

    job_id: UUID = Field(primary_key=True, foreign_key="job.id", ondelete="CASCADE")
    first: int = Field(sa_column=Column(BigInteger, primary_key=True))
    last: int = Field(sa_column=Column(BigInteger, nullable=False))
    entries: list[list[str]] = Field(sa_column=jsonb(nullable=False))  # [kind, data] each


# The same tables, for Core statements.
job = cast(Table, Job.__table__)  # type: ignore[attr-defined]
step = cast(Table, Step.__table__)  # type: ignore[attr-defined]
job_event = cast(Table, JobEvent.__table__)  # type: ignore[attr-defined]
stream_segment = cast(Table, StreamSegment.__table__)  # type: ignore[attr-defined]
