"""The engine's tables beside those of jobs: workers, turns, clients' keys, what was pruned."""

from datetime import date, datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Column, SmallInteger, Table
from sqlmodel import Field, SQLModel

from models.base import jsonb, new_id, timestamp


class Turn(SQLModel, table=True):
    """When a step of an owner and a priority was last chosen while others waited, by queue."""

    queue: str = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    priority: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    served_at: datetime = timestamp()


class Idempotency(SQLModel, table=True):
    """Which job a client's key has started."""

    owner_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_hash: str
    job_id: UUID = Field(foreign_key="job.id", ondelete="CASCADE", index=True)
    created_at: datetime = timestamp(default_now=True)


class Node(SQLModel, table=True):
    """A worker's main process, what it serves and what it knows."""

    id: UUID = Field(primary_key=True)
    hostname: str
    pid: int
    slots: dict[str, int] = Field(sa_column=jsonb(nullable=False))  # queue -> concurrent steps
    fingerprints: dict[str, str] = Field(sa_column=jsonb(nullable=False))  # pipeline -> declaration
    draining: bool = False
    started_at: datetime = timestamp(default_now=True)
    beat_at: datetime = timestamp(default_now=True)


class JobDaily(SQLModel, table=True):
    """What pruned jobs amounted to, so that counters never fall. Rows are only added."""

    __tablename__ = "job_daily"

    id: UUID = Field(default_factory=new_id, primary_key=True)
    day: date
    pipeline: str
    status: str
    jobs: int
    steps: int
    attempts: int


# The same tables, for Core statements.
turn = cast(Table, Turn.__table__)  # type: ignore[attr-defined]
idempotency = cast(Table, Idempotency.__table__)  # type: ignore[attr-defined]
node = cast(Table, Node.__table__)  # type: ignore[attr-defined]
job_daily = cast(Table, JobDaily.__table__)  # type: ignore[attr-defined]
