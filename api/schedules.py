"""Schedules: pipelines that start by themselves, again and again."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from api.deps import CurrentUser, Limit, SessionDep
from api.dialects import speaking
from models.accounts import SYSTEM_USER_ID, Role, require_role
from models.schedules import keeping
from models.schedules.tables import (
    FirePublic,
    Schedule,
    ScheduleCreate,
    SchedulePublic,
    ScheduleUpdate,
    UpcomingFire,
)
from pipelines import check_schedulable, problems_of, trigger

router = APIRouter(prefix="/schedules", tags=["schedules"], **speaking("engine"))


def _keeper(
    user: CurrentUser,
    system: Annotated[bool, Query(description="The platform's own; for superadmins.")] = False,
) -> UUID:
    """Return whose schedules are meant."""
    if not system:
        return user.id
    require_role(user, Role.SUPERADMIN)
    return SYSTEM_USER_ID


Keeper = Annotated[UUID, Depends(_keeper)]
Before = Annotated[UUID | None, Query(description="`next` of the page before.")]


class SchedulePage(BaseModel):
    """A page of schedules, newest first; `next` is the cursor of the page after it."""

    schedules: list[SchedulePublic]
    next: UUID | None


class FirePage(BaseModel):
    """A page of a schedule's fires, newest first; `next` is the cursor of the page after it."""

    fires: list[FirePublic]
    next: UUID | None


def _may_start_any(user: CurrentUser) -> bool:
    return user.role != Role.USER


AnyPipeline = Annotated[bool, Depends(_may_start_any)]


def _all_told(session: SessionDep, rows: list[Schedule]) -> list[SchedulePublic]:
    problems = problems_of(session, {row.pipeline for row in rows})
    return [keeping.describe_schedule(row, problem=problems[row.pipeline]) for row in rows]


def _told(session: SessionDep, row: Schedule) -> SchedulePublic:
    (told,) = _all_told(session, [row])
    return told


@router.post("", status_code=201)
def create_schedule(
    body: ScheduleCreate, session: SessionDep, owner: Keeper, anything: AnyPipeline
) -> SchedulePublic:
    """Start a pipeline by a cron line in a time zone, or every so many seconds.

    Where a cron line names hours, an hour that the clock skips is made up for right after the gap,
    and one that it repeats counts once. Fires that were missed are let go (`catch_up: skip`), stood
    for by the newest (`one`) or all made up for (`all`); while the job of the one before runs, a
    fire is let go (`overlap: skip`), waits (`queue`) or starts all the same (`allow`).
    """
    input = check_schedulable(session, body.pipeline, body.input, any_pipeline=anything)
    return _told(session, keeping.keep_schedule(session, body, input=input, owner=owner))


@router.get("")
def read_schedules(
    session: SessionDep, owner: Keeper, limit: Limit = 20, before: Before = None
) -> SchedulePage:
    """Your schedules, newest first."""
    rows = keeping.list_schedules(session, owner=owner, before=before, limit=limit)
    told = _all_told(session, rows)
    return SchedulePage(schedules=told, next=told[-1].id if len(told) == limit else None)


@router.get("/{schedule_id}")
def read_schedule(schedule_id: UUID, session: SessionDep, owner: Keeper) -> SchedulePublic:
    """A schedule as it is now."""
    return _told(session, keeping.get_schedule(session, schedule_id, owner=owner))


@router.patch("/{schedule_id}")
def change_schedule(
    schedule_id: UUID,
    body: ScheduleUpdate,
    session: SessionDep,
    owner: Keeper,
    anything: AnyPipeline,
) -> SchedulePublic:
    """Change what you name. A new cadence counts from now on."""
    row = keeping.get_schedule(session, schedule_id, owner=owner, to_change=True)
    input = body.input
    if input is not None:
        input = check_schedulable(session, row.pipeline, input, any_pipeline=anything)
    return _told(session, keeping.change_schedule(session, row, body, input=input))


@router.delete("/{schedule_id}", status_code=204)
def delete_schedule(schedule_id: UUID, session: SessionDep, owner: Keeper) -> None:
    """End a schedule for good. Its jobs stay."""
    session.delete(keeping.get_schedule(session, schedule_id, owner=owner, to_change=True))


@router.post("/{schedule_id}/pause")
def pause_schedule(schedule_id: UUID, session: SessionDep, owner: Keeper) -> SchedulePublic:
    """Let no fire happen until you resume it. Pausing again changes nothing."""
    row = keeping.get_schedule(session, schedule_id, owner=owner, to_change=True)
    keeping.pause(row)
    return _told(session, row)


@router.post("/{schedule_id}/resume")
def resume_schedule(schedule_id: UUID, session: SessionDep, owner: Keeper) -> SchedulePublic:
    """Go on with the next fire after now; those of the pause are not made up for."""
    row = keeping.get_schedule(session, schedule_id, owner=owner, to_change=True)
    keeping.unpause(row)
    return _told(session, row)


@router.post("/{schedule_id}/trigger", status_code=202)
def trigger_schedule(schedule_id: UUID, session: SessionDep, owner: Keeper) -> FirePublic:
    """Fire now, besides the schedule's own times, also while it is paused."""
    row = keeping.get_schedule(session, schedule_id, owner=owner, to_change=True)
    return FirePublic.model_validate(trigger(session, row), from_attributes=True)


@router.get("/{schedule_id}/upcoming")
def read_upcoming(
    schedule_id: UUID, session: SessionDep, owner: Keeper, limit: Limit = 10
) -> list[UpcomingFire]:
    """The next times at which it fires, as if it were not paused."""
    return keeping.upcoming(keeping.get_schedule(session, schedule_id, owner=owner), limit=limit)


@router.get("/{schedule_id}/fires")
def read_fires(
    schedule_id: UUID,
    session: SessionDep,
    owner: Keeper,
    limit: Limit = 20,
    before: Before = None,
) -> FirePage:
    """What became of its fires, newest first."""
    row = keeping.get_schedule(session, schedule_id, owner=owner)
    found = keeping.list_fires(session, row, before=before, limit=limit)
    return FirePage(fires=found, next=found[-1].id if len(found) == limit else None)
