"""When somebody sleeps and works, and by which clock."""

from datetime import time
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)  # fmt: skip
from pydantic import Field as Bounded
from sqlalchemy import ARRAY, Column, SmallInteger, String, Time
from sqlmodel import Field, Session, SQLModel

from models.goals.slots import BEDTIME, MONDAY_TO_FRIDAY, MORNING, Rhythm
from models.zones import UnknownTimeZone, zone


def _known(name: str) -> str:
    try:
        zone(name)
    except UnknownTimeZone as error:
        raise ValueError(str(error)) from None
    return name


def _on_a_clock(clock: time) -> time:
    if clock.tzinfo is not None:
        raise ValueError("a time of day is by the clock of the time zone, and has none of its own")
    return clock.replace(second=0, microsecond=0)


Zone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_known)]
Clock = Annotated[
    time,
    AfterValidator(_on_a_clock),
    PlainSerializer(lambda clock: f"{clock:%H:%M}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
Weekday = Annotated[int, Bounded(ge=0, le=6)]


class RhythmForm(BaseModel):
    """How somebody's days go. A window whose end is its start is none; 0 is Monday."""

    time_zone: Zone = "UTC"
    sleep_start: Clock = BEDTIME
    sleep_end: Clock = MORNING
    work_start: Clock | None = None
    work_end: Clock | None = None
    work_days: Annotated[list[Weekday], Bounded(max_length=7)] = list(MONDAY_TO_FRIDAY)


class RhythmRow(SQLModel, table=True):
    """What one person has said about their days."""

    __tablename__ = "goal_rhythm"

    owner_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    time_zone: str = Field(sa_column=Column(String, nullable=False))
    sleep_start: time = Field(sa_column=Column(Time, nullable=False))
    sleep_end: time = Field(sa_column=Column(Time, nullable=False))
    work_start: time | None = Field(default=None, sa_column=Column(Time))
    work_end: time | None = Field(default=None, sa_column=Column(Time))
    work_days: list[int] = Field(sa_column=Column(ARRAY(SmallInteger), nullable=False))


def read_rhythm(session: Session, *, owner: UUID) -> RhythmForm:
    """Return how somebody's days go; who has not said lives by the defaults."""
    row = session.get(RhythmRow, owner)
    return RhythmForm() if row is None else RhythmForm(**row.model_dump(exclude={"owner_id"}))


def keep_rhythm(session: Session, form: RhythmForm, *, owner: UUID) -> RhythmForm:
    """Keep what somebody says about their days."""
    session.merge(RhythmRow(owner_id=owner, **form.model_dump()))
    session.flush()
    return form


def rhythm_of(session: Session, *, owner: UUID) -> Rhythm:
    """Return the same as the rules want it."""
    return Rhythm(**read_rhythm(session, owner=owner).model_dump())
