"""Tasks, one by one: made, listed, changed together, come again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, StringConstraints
from pydantic import Field as Bounded
from sqlmodel import Session, col, select

from models.base import now
from models.errors import NotFound, Unprocessable
from models.goals.recurrence import advanced, check_rule
from models.goals.tables import Task, TaskStatus, Trigger
from models.zones import zone

OPEN = (TaskStatus.PENDING, TaskStatus.RESCHEDULED)
YEARS = range(2000, 2200)  # beyond, no calendar is right and some arithmetic overflows
LONGEST_MINUTES = 24 * 60


class TaskNotFound(NotFound):
    """There is no such task."""

    code = "task_not_found"


class TaskWithoutTime(Unprocessable):
    """A task that comes at a time needs one, and one that comes at a place needs that."""

    code = "task_without_trigger"


def _in_our_time(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"the year must lie between {YEARS.start} and {YEARS.stop - 1}")
    return moment


Moment = Annotated[datetime, AfterValidator(_in_our_time)]  # without a zone: by the task's clock
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$"),
]
Place = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]+$"),
]
Rule = Annotated[str, StringConstraints(max_length=400)]
Minutes = Annotated[int, Bounded(ge=1, le=LONGEST_MINUTES)]


class TaskCreate(BaseModel):
    """Something to do, at a time or at a place."""

    title: Title
    trigger_type: Trigger = Trigger.TIME
    scheduled_at: Moment | None = None
    duration_minutes: Minutes = 60
    recurrence_rule: Rule | None = None
    location_trigger: Place | None = None


class TaskUpdate(BaseModel):
    """What is to change of one task; what is not named stays."""

    id: UUID
    title: Title | None = None
    status: TaskStatus | None = None
    scheduled_at: Moment | None = None
    duration_minutes: Minutes | None = None
    recurrence_rule: Rule | None = None
    location_trigger: Place | None = None


class TaskTold(BaseModel):
    """What is told of a task, alone or within a plan."""

    id: UUID
    title: str
    status: TaskStatus
    scheduled_at: datetime | None
    scheduled_end: datetime | None
    time_zone: str
    duration_minutes: int
    recurrence_rule: str | None
    location_trigger: str | None
    sources: list[dict[str, Any]]


class TaskPublic(TaskTold):
    """Something to do. One that recurs stands at its next time."""

    goal_id: UUID | None
    milestone_id: UUID | None
    trigger_type: Trigger
    created_at: datetime
    completed_at: datetime | None


def describe_task(task: Task) -> TaskPublic:
    """Return a task as its owner sees it."""
    return TaskPublic(**task.model_dump(warnings=False), trigger_type=task.trigger)


def add_task(session: Session, given: TaskCreate, *, owner: UUID, time_zone: str) -> Task:
    """Keep a task of no goal. Raises TaskWithoutTime, InvalidRecurrence."""
    missing = given.scheduled_at if given.trigger_type is Trigger.TIME else given.location_trigger
    if missing is None:
        raise TaskWithoutTime()
    told = given.model_dump(exclude={"trigger_type", "scheduled_at", "recurrence_rule"})
    task = Task(owner_id=owner, trigger=given.trigger_type, time_zone=time_zone, **told)
    if given.scheduled_at is not None:
        place_at(task, moment_of(given.scheduled_at, time_zone))
        task.recurrence_rule = _checked(given.recurrence_rule)
    session.add(task)
    session.flush()
    return task


def _checked(rule: str | None) -> str | None:
    return check_rule(rule) if rule and rule.strip() else None


def moment_of(said: datetime, time_zone: str) -> datetime:
    """Return what was said as a moment in UTC; without a zone it is by the clock of this one."""
    return (said if said.tzinfo else said.replace(tzinfo=zone(time_zone))).astimezone(UTC)


def place_at(task: Task, start: datetime, end: datetime | None = None) -> None:
    """Put a task at a time; without an end it lasts as long as it did."""
    task.scheduled_at = start
    if end is not None:
        task.duration_minutes = max(1, round((end - start) / timedelta(minutes=1)))
    task.scheduled_end = start + timedelta(minutes=task.duration_minutes)
    task.updated_at = now()


def get_task(session: Session, task_id: UUID, *, owner: UUID, lock: bool = False) -> Task:
    """Return one of the owner's tasks. Raises TaskNotFound."""
    query = select(Task).where(Task.id == task_id, Task.owner_id == owner)
    task = session.exec(query.with_for_update() if lock else query).one_or_none()
    if task is None:
        raise TaskNotFound()
    return task


def owner_of_task(session: Session, task_id: UUID) -> UUID:
    """Return whose task this is. Raises TaskNotFound."""
    task = session.get(Task, task_id)
    if task is None:
        raise TaskNotFound()
    return task.owner_id


def list_tasks(
    session: Session,
    *,
    owner: UUID,
    status: TaskStatus | None,
    goal: UUID | None,
    after: UUID | None,
    limit: int,
) -> list[Task]:
    """Return somebody's tasks in the order in which they were made, after the one of this id."""
    query = select(Task).where(Task.owner_id == owner).order_by(col(Task.id)).limit(limit)
    if status is not None:
        query = query.where(Task.status == status)
    if goal is not None:
        query = query.where(Task.goal_id == goal)
    if after is not None:
        query = query.where(col(Task.id) > after)
    return list(session.exec(query))


def change_tasks(session: Session, updates: Sequence[TaskUpdate], *, owner: UUID) -> list[Task]:
    """Change tasks, all or none.

    Raises TaskNotFound (naming them), InvalidRecurrence, TaskWithoutTime.
    """
    wanted = [one.id for one in updates]
    query = select(Task).where(Task.owner_id == owner, col(Task.id).in_(wanted))
    found = {one.id: one for one in session.exec(query.order_by(col(Task.id)).with_for_update())}
    if missing := [str(one) for one in wanted if one not in found]:
        raise TaskNotFound("There are no such tasks: " + ", ".join(missing))
    for update in updates:
        _change(session, found[update.id], update)
    session.flush()
    return [found[one] for one in wanted]


def _change(session: Session, task: Task, update: TaskUpdate) -> None:
    told = update.model_dump(exclude_unset=True, exclude_none=True)
    for name in ("title", "duration_minutes", "location_trigger"):
        setattr(task, name, told.get(name, getattr(task, name)))
    if "recurrence_rule" in update.model_fields_set:
        task.recurrence_rule = _checked(update.recurrence_rule)
    if task.recurrence_rule and not (update.scheduled_at or task.scheduled_at):
        raise TaskWithoutTime("A task that recurs needs a time to begin at.")
    at = moment_of(update.scheduled_at, task.time_zone) if update.scheduled_at else None
    if start := at or task.scheduled_at:
        place_at(task, start)
    if update.status is not None and update.status != task.status:
        set_status(session, task, update.status)
    task.updated_at = now()


def set_status(session: Session, task: Task, status: TaskStatus) -> None:
    """Give a task a status. One that recurs and is done or missed goes on to its next time; what
    is past stays behind as a task of its own. Cancelling ends a series."""
    if status in (TaskStatus.DONE, TaskStatus.MISSED) and task.recurrence_rule:
        leave_behind(session, task, status)
        return
    task.status = status
    task.completed_at = now() if status is TaskStatus.DONE else None


def leave_behind(
    session: Session,
    task: Task,
    status: TaskStatus,
    *,
    span: tuple[datetime, datetime] | None = None,
) -> Task:
    """Take the present time of a task out of its series, as a task of its own; return that.

    It gets the status and, if given, another `span` of time. The series goes on at its next time;
    a task that comes no more, or never did, is itself what is returned.
    """
    begun = task.scheduled_at
    assert begun is not None
    later = advanced(task.recurrence_rule, begun, task.time_zone) if task.recurrence_rule else None
    single = task
    if later is not None:
        kept = task.model_dump(exclude={"id", "created_at"}, warnings=False)
        single = Task(**kept)
        session.add(single)
        place_at(task, later[0])
        task.recurrence_rule = later[1]
    single.recurrence_rule = None
    single.status = status
    single.completed_at = now() if status is TaskStatus.DONE else None
    if span is not None:
        place_at(single, *span)
    session.flush()
    return single
