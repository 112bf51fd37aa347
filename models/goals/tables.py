"""The tables of goals: a goal, its plan by weeks, its tasks, and the talks that lead to them."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from models.base import jsonb, new_id, one_of, timestamp
from models.jobs import tables as _jobs  # noqa: F401 — goals refer to jobs

DEFAULT_WEEKS = 6
MAX_WEEKS = 52
DEFAULT_ZONE = "UTC"


class GoalStatus(StrEnum):
    """Where a goal is in its life."""

    ACTIVE = "active"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    PIPELINE = "pipeline"  # waits until one of the active goals ends


class Decision(StrEnum):
    """What the person says to a week of a plan."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class VersionStatus(StrEnum):
    """What has become of a version of a plan."""

    LIVE = "live"
    PROPOSED = "proposed"  # waits to be accepted or rejected, week by week
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


class PlanSource(StrEnum):
    """Who has made a plan."""

    MODEL = "model"
    OFFLINE = "offline"  # no model is configured
    FALLBACK = "fallback"  # the model gave nothing that keeps the rules


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    DONE = "done"
    MISSED = "missed"
    RESCHEDULED = "rescheduled"
    CANCELLED = "cancelled"


class Trigger(StrEnum):
    """What reminds of a task."""

    TIME = "time"
    LOCATION = "location"


class TalkContext(StrEnum):
    """What a conversation is about."""

    ONBOARDING = "onboarding"
    GOAL = "goal"
    TASK = "task"
    RESCHEDULE = "reschedule"
    VOICE = "voice"


class TalkState(StrEnum):
    """How far a conversation about a new goal has come."""

    IDLE = "IDLE"
    GATHERING_TIMELINE = "GATHERING_TIMELINE"
    GATHERING_CURRENT_STATE = "GATHERING_CURRENT_STATE"
    GATHERING_TARGET = "GATHERING_TARGET"
    GATHERING_PREFERENCES = "GATHERING_PREFERENCES"
    PLAN_READY = "PLAN_READY"
    AWAITING_CONFIRMATION = "AWAITING_CONFIRMATION"
    CONFIRMED = "CONFIRMED"


class Speaker(StrEnum):
    """Who says a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    FUNCTION = "function"


class Goal(SQLModel, table=True):
    """What somebody wants to reach, and which version of its plan is live."""

    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(GoalStatus)})", name="status_is_known"),
        CheckConstraint(f"target_weeks BETWEEN 1 AND {MAX_WEEKS}", name="weeks_are_possible"),
        Index("ix_goal_owner_id_id", "owner_id", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    user_ref: str  # how whoever made the goal names its owner, as documents echo it
    title: str
    description: str = ""
    class_tags: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(String), nullable=False)
    )
    parent_goal_id: UUID | None = Field(
        default=None, foreign_key="goal.id", ondelete="SET NULL", index=True
    )
    status: GoalStatus = Field(default=GoalStatus.ACTIVE, sa_column=Column(String, nullable=False))
    pipeline_order: int | None = None  # place in the queue of those that wait, from 1
    target_weeks: int = DEFAULT_WEEKS
    target_date: date | None = None  # nothing is planned after it
    time_zone: str = DEFAULT_ZONE  # IANA; tasks are planned by its clock
    plan_json: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    plan_error: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    plan_version: int = 0  # the live one; 0: none yet
    last_version: int = 0  # the number of the newest plan
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    activated_at: datetime | None = timestamp(nullable=True)
    completed_at: datetime | None = timestamp(nullable=True)
    created_at: datetime = timestamp(default_now=True)
    updated_at: datetime = timestamp(default_now=True)


class PlanVersion(SQLModel, table=True):
    """One version of a goal's plan, as it was made."""

    __tablename__ = "goal_plan_version"
    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(VersionStatus)})", name="status_is_known"),
        CheckConstraint(f"source IN ({one_of(PlanSource)})", name="source_is_known"),
        UniqueConstraint("goal_id", "version", name="uq_goal_plan_version_number"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    goal_id: UUID = Field(foreign_key="goal.id", ondelete="CASCADE")
    version: int
    forked_from: int | None = None  # the version whose finished weeks it keeps
    status: VersionStatus = Field(sa_column=Column(String, nullable=False))
    source: PlanSource = Field(sa_column=Column(String, nullable=False))
    plan: dict[str, Any] = Field(sa_column=jsonb(nullable=False))
    diff: list[dict[str, Any]] = Field(  # from `forked_from`, week by week; empty for the first
        default_factory=list, sa_column=jsonb(nullable=False)
    )
    decisions: dict[str, str] = Field(  # week -> Decision, of the weeks that differ
        default_factory=dict, sa_column=jsonb(nullable=False)
    )
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    created_at: datetime = timestamp(default_now=True)


class Milestone(SQLModel, table=True):
    """A week of the live plan."""

    __tablename__ = "goal_milestone"
    __table_args__ = (
        CheckConstraint(f"decision IN ({one_of(Decision)})", name="decision_is_known"),
        UniqueConstraint("goal_id", "week", name="uq_goal_milestone_week"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    goal_id: UUID = Field(foreign_key="goal.id", ondelete="CASCADE")
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    version: int  # of the plan that it comes from
    week: int = Field(sa_column=Column(SmallInteger, nullable=False))  # from 1
    title: str
    starts_on: date  # a Monday, except where the goal begins or ends in mid-week
    ends_on: date
    decision: Decision = Field(default=Decision.OPEN, sa_column=Column(String, nullable=False))
    created_at: datetime = timestamp(default_now=True)


class Task(SQLModel, table=True):
    """Something to do, at a time or at a place; of a goal's plan or by itself."""

    __tablename__ = "goal_task"
    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(TaskStatus)})", name="status_is_known"),
        CheckConstraint(f"trigger IN ({one_of(Trigger)})", name="trigger_is_known"),
        CheckConstraint("duration_minutes >= 1", name="lasts_a_while"),
        Index("ix_goal_task_owner_id_scheduled_at", "owner_id", "scheduled_at"),
        Index("ix_goal_task_goal_id", "goal_id"),
        Index("ix_goal_task_milestone_id_order", "milestone_id", "order"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    goal_id: UUID | None = Field(default=None, foreign_key="goal.id", ondelete="CASCADE")
    milestone_id: UUID | None = Field(
        default=None, foreign_key="goal_milestone.id", ondelete="CASCADE"
    )
    order: int = 0  # place within its milestone, from 1
    title: str
    status: TaskStatus = Field(default=TaskStatus.PENDING, sa_column=Column(String, nullable=False))
    trigger: Trigger = Field(default=Trigger.TIME, sa_column=Column(String, nullable=False))
    scheduled_at: datetime | None = timestamp(nullable=True)
    scheduled_end: datetime | None = timestamp(nullable=True)
    time_zone: str = DEFAULT_ZONE  # IANA; a recurring task keeps its time by this clock
    duration_minutes: int = 60
    recurrence_rule: str | None = None  # RFC 5545 RRULE, without the name
    location_trigger: str | None = None
    sources: list[dict[str, Any]] = Field(  # what it is grounded on: {"source", "excerpt", …}
        default_factory=list, sa_column=jsonb(nullable=False)
    )
    created_at: datetime = timestamp(default_now=True)
    updated_at: datetime = timestamp(default_now=True)
    completed_at: datetime | None = timestamp(nullable=True)


class Talk(SQLModel, table=True):
    """A conversation, typed or spoken, and what has come of it."""

    __tablename__ = "goal_talk"
    __table_args__ = (
        CheckConstraint(f"context_type IN ({one_of(TalkContext)})", name="context_is_known"),
        CheckConstraint(f"state IN ({one_of(TalkState)})", name="state_is_known"),
        Index("ix_goal_talk_owner_id_created_at", "owner_id", "created_at"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    public_id: str | None = Field(default=None, unique=True)  # `sess_…` of a voice session
    context_type: TalkContext = Field(sa_column=Column(String, nullable=False))
    state: TalkState = Field(default=TalkState.IDLE, sa_column=Column(String, nullable=False))
    extracted_intent: str | None = None
    intent_payload: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    linked_goal_id: UUID | None = Field(
        default=None, foreign_key="goal.id", ondelete="SET NULL", index=True
    )
    linked_task_id: UUID | None = Field(
        default=None, foreign_key="goal_task.id", ondelete="SET NULL", index=True
    )
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    created_at: datetime = timestamp(default_now=True)
    ended_at: datetime | None = timestamp(nullable=True)
    duration_seconds: int | None = None


class TalkMessage(SQLModel, table=True):
    """One message of a conversation."""

    __tablename__ = "goal_talk_message"
    __table_args__ = (
        CheckConstraint(f"role IN ({one_of(Speaker)})", name="role_is_known"),
        Index("ix_goal_talk_message_talk_id_id", "talk_id", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    talk_id: UUID = Field(foreign_key="goal_talk.id", ondelete="CASCADE")
    role: Speaker = Field(sa_column=Column(String, nullable=False))
    content: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = timestamp(default_now=True)


class Corpus(SQLModel, table=True):
    """The articles that plans are grounded on, and which version of their index is live."""

    __tablename__ = "goal_corpus"

    name: str = Field(primary_key=True)
    version: int = 0  # the live version of the collection; 0: none yet
    last_version: int = 0  # the number that the newest ingestion has taken
    embedding_model: str | None = None  # what made the live version's vectors
    embedding_dimension: int | None = None
    passages: str | None = None  # the blob that holds the live version's passages as JSON
    articles: int = 0
    chunks: int = 0
    updated_at: datetime = timestamp(default_now=True)

    def collection(self, version: int | None = None) -> str:
        """Return the name of the collection of a version; default: the live one."""
        return f"goals_{self.name}_v{self.version if version is None else version}"
