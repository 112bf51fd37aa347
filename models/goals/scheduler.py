"""Finding another time for a task, and taking it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import Session, col, select

from models.base import now
from models.errors import Conflict, Unprocessable
from models.goals.recurrence import occurrences
from models.goals.rhythm import rhythm_of
from models.goals.slots import DAYS_AHEAD, Proposal, Span, propose
from models.goals.tables import Task, TaskStatus, Trigger
from models.goals.todo import LONGEST_MINUTES, OPEN, get_task, leave_behind, moment_of
from models.zones import zone

SCHEDULE_LOCK = 0x4C52_0007  # first half of an advisory lock's key, the second being the owner
LONGEST_LOOK = timedelta(days=92)  # one quarter of a year, as calendars show it
AT_MOST = 1000  # tasks looked at, and shown


class Action(StrEnum):
    """What is done with a task that does not fit."""

    RESCHEDULE = "reschedule"
    SKIP = "skip"


class NotOpen(Conflict):
    """This task is over, or does not come at a time."""

    code = "task_not_open"


class SlotTaken(Conflict):
    """Something else is planned at this time."""

    code = "slot_taken"


class ImpossibleTime(Unprocessable):
    """A task begins in the future and ends, within a day, after it begins."""

    code = "impossible_time"


@dataclass(frozen=True, slots=True)
class Planned:
    """A task, and the times at which it comes within a stretch of time."""

    task: Task
    times: list[Span]


def planned_tasks(
    session: Session, *, owner: UUID, span: Span, statuses: tuple[TaskStatus, ...] = OPEN
) -> list[Planned]:
    """Return the timed tasks of these statuses that touch a stretch of time, soonest first."""
    early = span.start - timedelta(minutes=LONGEST_MINUTES)
    at = col(Task.scheduled_at)
    query = (
        select(Task)
        .where(Task.owner_id == owner, Task.trigger == Trigger.TIME, at < span.end)
        .where(or_(at >= early, col(Task.recurrence_rule).is_not(None)))
        .where(col(Task.status).in_(statuses))
        .order_by(at)
        .limit(AT_MOST)
    )
    found = [Planned(task, _times(task, early, span)) for task in session.exec(query)]
    return sorted((one for one in found if one.times), key=lambda one: one.times[0].start)


def _times(task: Task, early: datetime, span: Span) -> list[Span]:
    assert task.scheduled_at is not None
    starts = [task.scheduled_at]
    if task.recurrence_rule and task.status in OPEN:
        starts = occurrences(
            task.recurrence_rule, task.scheduled_at, task.time_zone, since=early, until=span.end
        )
    length = timedelta(minutes=task.duration_minutes)
    return [one for one in (Span(at, at + length) for at in starts) if one.overlaps(span)]


def _busy(session: Session, *, owner: UUID, span: Span, but: UUID) -> list[Span]:
    found = planned_tasks(session, owner=owner, span=span)
    return [at for one in found if one.task.id != but for at in one.times]


def _open_task(session: Session, event_id: UUID, *, owner: UUID, lock: bool = False) -> Task:
    task = get_task(session, event_id, owner=owner, lock=lock)
    if task.status not in (*OPEN, TaskStatus.MISSED) or task.scheduled_at is None:
        raise NotOpen()
    return task


def suggest(session: Session, event_id: UUID, *, owner: UUID) -> tuple[Task, list[Proposal]]:
    """Return a task and up to three other times for it. Raises TaskNotFound, NotOpen."""
    task = _open_task(session, event_id, owner=owner)
    assert task.scheduled_at is not None
    moment = now()
    week = Span(moment - timedelta(days=1), moment + timedelta(days=DAYS_AHEAD + 2))
    proposals = propose(
        timedelta(minutes=task.duration_minutes),
        task.scheduled_at,
        busy=_busy(session, owner=owner, span=week, but=task.id),
        rhythm=rhythm_of(session, owner=owner),
        now=moment,
    )
    return task, proposals


def say_proposals(task: Task, proposals: list[Proposal]) -> str:
    """Return the suggestions as somebody would say them."""
    if not proposals:
        return f"I found no free time for “{task.title}” within a week. You can skip it this time."
    labels = [one.label[0].lower() + one.label[1:] for one in proposals]
    *first, last = [label.replace(", ", " at ") for label in labels]
    when = f"{', '.join(first)} or {last}" if first else last
    return f"“{task.title}” could be done {when}. Which do you prefer, or shall I skip it?"


def skip(session: Session, event_id: UUID, *, owner: UUID) -> Task:
    """Leave a task out this time; one that recurs goes on. Raises TaskNotFound, NotOpen."""
    task = _open_task(session, event_id, owner=owner, lock=True)
    return leave_behind(session, task, TaskStatus.CANCELLED)


def reschedule(
    session: Session, event_id: UUID, start: datetime, end: datetime | None, *, owner: UUID
) -> Task:
    """Move a task; of one that recurs, the next time only. What a person chooses may lie in their
    own sleep or work hours, but on nothing else that is planned.

    Raises TaskNotFound, NotOpen, ImpossibleTime, SlotTaken.
    """
    session.execute(select(func.pg_advisory_xact_lock(SCHEDULE_LOCK, func.hashtext(str(owner)))))
    task = _open_task(session, event_id, owner=owner, lock=True)
    begin = moment_of(start, task.time_zone)
    length = timedelta(minutes=task.duration_minutes)
    finish = moment_of(end, task.time_zone) if end else begin + length
    span = Span(begin, finish)
    if begin <= now() or not begin < finish <= begin + timedelta(minutes=LONGEST_MINUTES):
        raise ImpossibleTime()
    if any(span.overlaps(one) for one in _busy(session, owner=owner, span=span, but=task.id)):
        raise SlotTaken()
    return leave_behind(session, task, TaskStatus.RESCHEDULED, span=(begin, finish))


def say_time(moment: datetime, time_zone: str) -> str:
    """Return a moment as somebody would say it, by the clock of a time zone."""
    local = moment.astimezone(zone(time_zone))
    return f"{local:%A}, {local.day} {local:%B} at {local:%H:%M}"
