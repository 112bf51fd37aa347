"""The tables of schedules, and how people fill them in and see them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import CheckConstraint, Column, Index, SmallInteger, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.base import jsonb, new_id, one_of, timestamp
from models.jobs import tables as jobs  # noqa: F401 — fires refer to jobs
from models.schedules.times import CatchUp

YEAR_S = 366 * 86_400
MOST_CAUGHT_UP = 500  # fires at once; each is looked at on its own, so this bounds one schedule


class Overlap(StrEnum):
    """What becomes of a fire while the job of the one before still runs."""

    SKIP = "skip"
    QUEUE = "queue"  # it waits for that job's end
    ALLOW = "allow"  # both run


class FireStatus(StrEnum):
    """What became of a fire."""

    STARTED = "started"
    WAITING = "waiting"  # for the job of the fire before
    SKIPPED = "skipped"
    FAILED = "failed"  # no job could be started


class Schedule(SQLModel, table=True):
    """A pipeline that is started at certain times, with always the same input."""

    __table_args__ = (
        CheckConstraint("(cron IS NULL) <> (every_s IS NULL)", name="cron_or_interval"),
        CheckConstraint(f"catch_up IN ({one_of(CatchUp)})", name="catch_up_is_known"),
        CheckConstraint(f"overlap IN ({one_of(Overlap)})", name="overlap_is_known"),
        Index("ix_schedule_owner_id_id", "owner_id", "id"),
        Index("ix_schedule_due", "due_at", postgresql_where=text("paused_at IS NULL")),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    upkeep: str | None = Field(default=None, unique=True)  # the platform's own: its name
    name: str
    pipeline: str
    input: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    priority: int = Field(default=0, sa_column=Column(SmallInteger, nullable=False))
    cron: str | None = None
    every_s: int | None = None
    time_zone: str = "UTC"
    anchor: datetime = timestamp()  # intervals are counted from here
    catch_up: CatchUp = Field(default=CatchUp.ONE, sa_column=Column(String, nullable=False))
    catch_up_limit: int = 100
    overlap: Overlap = Field(default=Overlap.SKIP, sa_column=Column(String, nullable=False))
    jitter_s: int = 0
    next_at: datetime | None = timestamp(nullable=True)  # the fire that comes next
    due_at: datetime | None = timestamp(nullable=True)  # when that happens: with jitter
    job_id: UUID | None = Field(  # of the fire that was last to start one
        default=None, foreign_key="job.id", ondelete="SET NULL", index=True
    )
    paused_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)
    changed_at: datetime = timestamp(default_now=True)


class ScheduleFire(SQLModel, table=True):
    """One fire of a schedule, and what became of it."""

    __tablename__ = "schedule_fire"
    __table_args__ = (
        UniqueConstraint("schedule_id", "scheduled_for"),
        CheckConstraint(f"status IN ({one_of(FireStatus)})", name="status_is_known"),
        Index(
            "ix_schedule_fire_waiting", "schedule_id", postgresql_where=text("status = 'waiting'")
        ),
        Index("ix_schedule_fire_schedule_id_id", "schedule_id", "id"),
        Index("ix_schedule_fire_fired_at", "fired_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    schedule_id: UUID = Field(foreign_key="schedule.id", ondelete="CASCADE")
    scheduled_for: datetime = timestamp()
    manual: bool = False  # somebody triggered it
    status: FireStatus = Field(sa_column=Column(String, nullable=False))
    reason: str | None = None  # why there is no job
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL", index=True)
    fired_at: datetime = timestamp(default_now=True)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
CronLine = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Every = Annotated[int, Field(ge=1, le=YEAR_S, description="Seconds.")]
Jitter = Annotated[int, Field(ge=0, le=86_400, description="Seconds, at most; derived per fire.")]
CatchUpLimit = Annotated[int, Field(ge=1, le=MOST_CAUGHT_UP, description="Newest fires kept.")]
Priority = Annotated[int, Field(ge=-100, le=100)]
Zone = Annotated[str, StringConstraints(max_length=100)]


class ScheduleCreate(BaseModel):
    """A schedule to keep: either `cron` or `every_s`."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    pipeline: Annotated[str, StringConstraints(max_length=200)]
    input: dict[str, Any] = {}
    cron: CronLine | None = None
    every_s: Every | None = None
    time_zone: Zone = "UTC"
    catch_up: CatchUp = CatchUp.ONE
    catch_up_limit: CatchUpLimit = 100
    overlap: Overlap = Overlap.SKIP
    jitter_s: Jitter = 0
    priority: Priority = 0
    paused: bool = False


class ScheduleUpdate(BaseModel):
    """What is to change; what is not given stays. A new `cron` ends `every_s`, and vice versa."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    input: dict[str, Any] | None = None
    cron: CronLine | None = None
    every_s: Every | None = None
    time_zone: Zone | None = None
    catch_up: CatchUp | None = None
    catch_up_limit: CatchUpLimit | None = None
    overlap: Overlap | None = None
    jitter_s: Jitter | None = None
    priority: Priority | None = None


class SchedulePublic(BaseModel):
    """A schedule as its owner sees it."""

    id: UUID
    name: str
    pipeline: str
    input: dict[str, Any]
    cron: str | None
    every_s: int | None
    time_zone: str
    catch_up: CatchUp
    catch_up_limit: int
    overlap: Overlap
    jitter_s: int
    priority: int
    next_at: datetime | None  # without jitter; empty while paused
    paused_at: datetime | None
    job_id: UUID | None  # the last one started
    created_at: datetime
    changed_at: datetime
    problem: str | None = None  # why its fires will come to nothing, if they will


class FirePublic(BaseModel):
    """A fire as the schedule's owner sees it."""

    id: UUID
    scheduled_for: datetime
    manual: bool
    status: FireStatus
    reason: str | None
    job_id: UUID | None
    fired_at: datetime


class UpcomingFire(BaseModel):
    """A fire to come: by the schedule, and with its jitter."""

    scheduled_for: datetime
    due_at: datetime
