"""Tasks, and other times for those that do not fit."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator

from api.deps import ClaimsDep, Limit, Owner, SessionDep
from api.dialects import speaking
from api.goals.asker import ListingOwner, task_owner
from models.base import now
from models.goals.rhythm import RhythmForm, keep_rhythm, read_rhythm
from models.goals.scheduler import (
    LONGEST_LOOK,
    Action,
    ImpossibleTime,
    Planned,
    planned_tasks,
    reschedule,
    say_proposals,
    skip,
    suggest,
)
from models.goals.slots import DAYS_AHEAD, Proposal, Span
from models.goals.tables import Task, TaskStatus
from models.goals.todo import (
    OPEN,
    Moment,
    TaskCreate,
    TaskPublic,
    TaskUpdate,
    add_task,
    change_tasks,
    describe_task,
    list_tasks,
    moment_of,
)

router = APIRouter(tags=["goals"], **speaking("goals"))
SHOWN = (*OPEN, TaskStatus.DONE, TaskStatus.MISSED)


class TaskPage(BaseModel):
    """Tasks in the order in which they were made, and where the next page begins."""

    tasks: list[TaskPublic]
    next: UUID | None


class TaskUpdates(BaseModel):
    """Changes of tasks, each of another one."""

    updates: list[TaskUpdate] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _each_once(self) -> "TaskUpdates":
        if len({one.id for one in self.updates}) < len(self.updates):
            raise ValueError("a task is named twice")
        return self


class TasksUpdated(BaseModel):
    """The tasks as they are now, in the order of the request."""

    updated: int
    tasks: list[TaskPublic]


class ScheduledTask(BaseModel):
    """A task in a calendar. One that recurs comes at each of its `occurrences`."""

    event_id: UUID
    task_title: str
    start: datetime
    end: datetime
    occurrences: list[datetime]
    status: TaskStatus
    goal_id: UUID | None
    duration_minutes: int
    recurrence_rule: str | None
    time_zone: str


class Calendar(BaseModel):
    """What is planned within a stretch of time, soonest first."""

    tasks: list[ScheduledTask]


class SuggestRequest(BaseModel):
    """Which task does not fit."""

    event_id: UUID


class Suggestion(BaseModel):
    """Another time for a task."""

    new_start: datetime
    new_end: datetime
    label: str
    rationale: str


class Suggestions(BaseModel):
    """Other times for a task, soonest first, and what to say about them."""

    event_id: UUID
    task_title: str
    suggestions: list[Suggestion]
    skip_option: bool
    ai_message: str


class ApplyRequest(BaseModel):
    """What is to be done with a task; `new_end` is not needed when it lasts as long as before."""

    event_id: UUID
    action: Action
    new_start: Moment | None = None
    new_end: Moment | None = None

    @model_validator(mode="after")
    def _has_a_time(self) -> "ApplyRequest":
        if self.action is Action.RESCHEDULE and self.new_start is None:
            raise ValueError("rescheduling needs new_start")
        return self


class Applied(BaseModel):
    """The task as it is now; of one that recurs, the time that was taken out of its series."""

    event_id: UUID
    action: Action
    status: TaskStatus
    task: TaskPublic


@router.get("/tasks")
def list_my_tasks(
    session: SessionDep,
    owner: ListingOwner,
    status: TaskStatus | None = None,
    goal_id: UUID | None = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> TaskPage:
    """Tasks of plans, and those that stand by themselves."""
    rows = list_tasks(session, owner=owner, status=status, goal=goal_id, after=after, limit=limit)
    more = rows[-1].id if len(rows) == limit else None
    return TaskPage(tasks=[describe_task(row) for row in rows], next=more)


@router.post("/tasks", status_code=201)
def create_task(body: TaskCreate, session: SessionDep, owner: Owner) -> TaskPublic:
    """Add a task of no goal. A time without a zone is by the clock of your time zone."""
    zone = read_rhythm(session, owner=owner).time_zone
    return describe_task(add_task(session, body, owner=owner, time_zone=zone))


@router.patch("/tasks")
def update_tasks(body: TaskUpdates, session: SessionDep, owner: Owner) -> TasksUpdated:
    """Change up to 100 tasks, all or none. One that recurs and is done goes on to its next time."""
    rows = change_tasks(session, body.updates, owner=owner)
    return TasksUpdated(updated=len(rows), tasks=[describe_task(row) for row in rows])


@router.get("/scheduler/tasks")
def read_calendar(
    session: SessionDep,
    owner: ListingOwner,
    since: Annotated[Moment | None, Query(alias="from")] = None,
    until: Annotated[Moment | None, Query(alias="to")] = None,
) -> Calendar:
    """What is planned, by default within a week from now; at most a quarter of a year at once."""
    zone = read_rhythm(session, owner=owner).time_zone
    start = moment_of(since, zone) if since else now()
    end = moment_of(until, zone) if until else start + timedelta(days=DAYS_AHEAD)
    if not start < end <= start + LONGEST_LOOK:
        raise ImpossibleTime(f"Ask for up to {LONGEST_LOOK.days} days, `to` after `from`.")
    found = planned_tasks(session, owner=owner, span=Span(start, end), statuses=SHOWN)
    return Calendar(tasks=[_scheduled(one) for one in found])


def _scheduled(one: Planned) -> ScheduledTask:
    task, first = one.task, one.times[0]
    return ScheduledTask(
        **task.model_dump(warnings=False), event_id=task.id, task_title=task.title,
        start=first.start, end=first.end, occurrences=[at.start for at in one.times],
    )  # fmt: skip


@router.get("/scheduler/preferences")
def read_preferences(session: SessionDep, owner: ListingOwner) -> RhythmForm:
    """When you sleep and work, and in which time zone."""
    return read_rhythm(session, owner=owner)


@router.put("/scheduler/preferences")
def keep_preferences(body: RhythmForm, session: SessionDep, owner: Owner) -> RhythmForm:
    """Say when you sleep and work, and in which time zone; suggestions keep clear of both."""
    return keep_rhythm(session, body, owner=owner)


@router.post("/scheduler/suggest")
def suggest_times(body: SuggestRequest, session: SessionDep, claims: ClaimsDep) -> Suggestions:
    """Up to three other times for a task: half hours that nothing planned comes near."""
    owner = task_owner(session, claims, body.event_id)
    task, proposals = suggest(session, body.event_id, owner=owner)
    return _suggestions(task, proposals)


def _suggestions(task: Task, proposals: list[Proposal]) -> Suggestions:
    told = [
        Suggestion(
            new_start=one.slot.start, new_end=one.slot.end, label=one.label,
            rationale=one.rationale,
        )
        for one in proposals
    ]  # fmt: skip
    return Suggestions(
        event_id=task.id, task_title=task.title, suggestions=told, skip_option=True,
        ai_message=say_proposals(task, proposals),
    )  # fmt: skip


@router.post("/scheduler/apply")
def apply_time(body: ApplyRequest, session: SessionDep, claims: ClaimsDep) -> Applied:
    """Move a task to a time at which nothing else is planned, or skip it."""
    owner = task_owner(session, claims, body.event_id)
    if body.action is Action.SKIP or body.new_start is None:
        task = skip(session, body.event_id, owner=owner)
    else:
        task = reschedule(session, body.event_id, body.new_start, body.new_end, owner=owner)
    return Applied(
        event_id=body.event_id, action=body.action, status=task.status, task=describe_task(task)
    )
