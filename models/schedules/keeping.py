"""Keeping schedules: made, changed, paused, read by their owners."""

from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.accounts import SYSTEM_USER_ID
from models.base import new_id, now
from models.errors import Conflict, NotFound, Unprocessable
from models.schedules.tables import (
    FirePublic,
    Schedule,
    ScheduleCreate,
    ScheduleFire,
    SchedulePublic,
    ScheduleUpdate,
    UpcomingFire,
)
from models.schedules.times import Cadence, check_cron, due_at
from models.zones import check_zone

SCHEDULES_AT_MOST = 1000  # of one owner: each costs a look at every fire


class ScheduleNotFound(NotFound):
    """There is no such schedule."""

    code = "schedule_not_found"


class AmbiguousCadence(Unprocessable):
    """A schedule has either a cron line or an interval."""

    code = "ambiguous_cadence"


class TooManySchedules(Conflict):
    """You have as many schedules as one may have."""

    code = "too_many_schedules"


def cadence_of(row: Schedule) -> Cadence:
    """Return when a schedule fires."""
    return Cadence(row.cron, row.every_s, row.time_zone, row.anchor)


def keep_schedule(
    session: Session, new: ScheduleCreate, *, input: dict[str, Any], owner: UUID
) -> Schedule:
    """Store a schedule whose pipeline and `input` were checked; its first fire is in the future.

    Raises AmbiguousCadence, InvalidCron, UnknownTimeZone, TooManySchedules.
    """
    at = now()
    held = select(Schedule.id).where(Schedule.owner_id == owner).limit(SCHEDULES_AT_MOST)
    if len(session.exec(held).all()) >= SCHEDULES_AT_MOST:
        raise TooManySchedules(limit=SCHEDULES_AT_MOST)
    values = new.model_dump(exclude={"input", "paused"})
    row = Schedule(**values, owner_id=owner, input=input, anchor=at)
    _check_cadence(row)
    row.paused_at = at if new.paused else None
    aim(row, after=at)
    session.add(row)
    session.flush()
    return row


def aim(row: Schedule, *, after: datetime) -> None:
    """Set the next fire of a schedule to the first one after a moment."""
    cadence = cadence_of(row)
    row.next_at = cadence.next(after)
    row.due_at = row.next_at and due_at(cadence, row.id, row.next_at, jitter_s=row.jitter_s)


def _check_cadence(row: Schedule) -> None:
    if (row.cron is None) == (row.every_s is None):
        raise AmbiguousCadence()
    row.time_zone = check_zone(row.time_zone)
    if row.cron is not None:
        row.cron = check_cron(row.cron, now=row.anchor)


def get_schedule(
    session: Session, schedule_id: UUID, *, owner: UUID, to_change: bool = False
) -> Schedule:
    """Return one of somebody's schedules, locked if it is to change. Raises ScheduleNotFound."""
    query = select(Schedule).where(Schedule.id == schedule_id, Schedule.owner_id == owner)
    row = session.exec(query.with_for_update() if to_change else query).one_or_none()
    if row is None:
        raise ScheduleNotFound()
    return row


def list_schedules(
    session: Session, *, owner: UUID, before: UUID | None, limit: int
) -> list[Schedule]:
    """Return somebody's schedules, newest first, those older than `before`."""
    query = select(Schedule).where(Schedule.owner_id == owner)
    if before is not None:
        query = query.where(col(Schedule.id) < before)
    return list(session.exec(query.order_by(col(Schedule.id).desc()).limit(limit)))


def change_schedule(
    session: Session, row: Schedule, change: ScheduleUpdate, *, input: dict[str, Any] | None
) -> Schedule:
    """Change what `change` gives; a new cadence counts from now on.

    `input` was checked. Raises as `keep_schedule` does.
    """
    given = change.model_dump(exclude_none=True, exclude={"input"})
    if given.keys() >= {"cron", "every_s"}:
        raise AmbiguousCadence()
    if "cron" in given or "every_s" in given:
        row.cron = row.every_s = None
    for name, value in given.items():
        setattr(row, name, value)
    if input is not None:
        row.input = input
    row.changed_at = now()
    if given.keys() & {"cron", "every_s", "time_zone", "jitter_s"}:
        if given.keys() & {"cron", "every_s"}:
            row.anchor = row.changed_at
        _check_cadence(row)
        aim(row, after=row.changed_at)
    session.flush()
    return row


def pause(row: Schedule) -> None:
    """Let no fire happen from now on. Safe to repeat."""
    row.paused_at = row.paused_at or now()


def unpause(row: Schedule) -> None:
    """Go on with the next fire after now; those of the pause are no missed ones. Safe to repeat."""
    if row.paused_at is not None:
        row.paused_at = None
        aim(row, after=now())


def upcoming(row: Schedule, *, limit: int) -> list[UpcomingFire]:
    """Return the next fires, as if the schedule were not paused."""
    cadence = cadence_of(row)
    return [
        UpcomingFire(scheduled_for=at, due_at=due_at(cadence, row.id, at, jitter_s=row.jitter_s))
        for at in islice(cadence.after(now()), limit)
    ]


def list_fires(
    session: Session, row: Schedule, *, before: UUID | None, limit: int
) -> list[FirePublic]:
    """Return a schedule's fires, newest first, those recorded before `before`."""
    query = select(ScheduleFire).where(ScheduleFire.schedule_id == row.id)
    if before is not None:
        query = query.where(col(ScheduleFire.id) < before)
    found = session.exec(query.order_by(col(ScheduleFire.id).desc()).limit(limit))
    return [FirePublic.model_validate(one, from_attributes=True) for one in found]


def describe_schedule(row: Schedule, *, problem: str | None) -> SchedulePublic:
    """Return a schedule as its owner sees it."""
    told = SchedulePublic.model_validate(row, from_attributes=True)
    shown = None if row.paused_at else row.next_at
    return told.model_copy(update={"problem": problem, "next_at": shown})


def ensure_upkeep(session: Session, name: str, pipeline: str, *, every_s: int) -> None:
    """Keep a schedule of the platform's own, unless it is there: what operators changed stays."""
    at = now()
    row = Schedule(
        id=new_id(), owner_id=SYSTEM_USER_ID, upkeep=name, name=name, pipeline=pipeline, input={},
        every_s=every_s, anchor=at,
    )  # fmt: skip
    aim(row, after=at)
    session.execute(
        insert(Schedule)
        .values(**row.model_dump())
        .on_conflict_do_nothing(index_elements=["upkeep"])
    )
