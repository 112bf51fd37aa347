"""When the tasks of a plan are done, and the calendar that says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vRecur

from models.goals.tables import Goal, Task, TaskStatus, Trigger

FIRST_HOUR = 9  # tasks begin at 09:00 and last an hour, from Monday to Friday (goals.md)
TASK_MINUTES = 60
WEEK = timedelta(days=7)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The days of one week of a plan."""

    first: date
    last: date


def first_day(today: date, *, weeks: int, target: date | None) -> date:
    """Return when a plan begins: on the next Monday, or tomorrow if else it ended too late."""
    monday = today + DAY * (7 - today.weekday())
    if target is not None and monday + WEEK * weeks - DAY > target:
        return today + DAY
    return monday


def weeks_until(target: date, today: date) -> int:
    """Return how many weeks there are from tomorrow to the target date, the last perhaps short."""
    return max(1, -((target - today).days // -7))


def span(begin: date, number: int, target: date | None) -> Span:
    """Return the days of week `number` (from 1) of a plan that begins on `begin`.

    None of them lies after the target date.
    """
    first = begin + WEEK * (number - 1)
    last = first + WEEK - DAY
    return Span(min(first, target), min(last, target)) if target else Span(first, last)


def slots(days: Span, count: int, zone: str) -> list[tuple[datetime, datetime]]:
    """Return begin and end of `count` tasks, in UTC and in order.

    They are spread over the working days, each at 09:00 by the clock of `zone`; when there are more
    tasks than days, one follows the other.
    """
    length = (days.last - days.first).days + 1
    every = [days.first + DAY * k for k in range(length)]
    free = [day for day in every if day.weekday() < 5] or every
    places = [min(k * len(free) // count, len(free) - 1) for k in range(count)]
    found = []
    for k, place in enumerate(places):
        hour = FIRST_HOUR + places[:k].count(place)
        local = datetime.combine(free[place], time(hour), tzinfo=ZoneInfo(zone))
        begin = local.astimezone(UTC)
        found.append((begin, begin + timedelta(minutes=TASK_MINUTES)))
    return found


def calendar_of(goal: Goal, tasks: Sequence[Task], weeks: dict[Any, str]) -> bytes:
    """Return a goal's tasks as iCalendar (RFC 5545), with the time zones that they need.

    `weeks`: what to call the week of each milestone's id. Tasks of a place have no time, and are
    left out.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Longrun//Goals//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", goal.title)
    calendar.add("x-wr-timezone", goal.time_zone)
    for task in tasks:
        if task.trigger == Trigger.TIME and task.scheduled_at is not None:
            calendar.add_component(_event(task, weeks.get(task.milestone_id, "")))
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _event(task: Task, week: str) -> Event:
    assert task.scheduled_at is not None
    begin = task.scheduled_at.astimezone(ZoneInfo(task.time_zone))
    event = Event()
    event.add("uid", f"{task.id}@longrun")
    event.add("dtstamp", task.updated_at.astimezone(UTC))
    event.add("summary", task.title)
    event.add("dtstart", begin)
    event.add("duration", timedelta(minutes=task.duration_minutes))
    event.add("status", "CANCELLED" if task.status == TaskStatus.CANCELLED else "CONFIRMED")
    if task.recurrence_rule:
        event.add("rrule", _rule(task.recurrence_rule))
    if told := "\n".join(
        filter(None, [week, *(f"Source: {one['source']}" for one in task.sources)])
    ):
        event.add("description", told)
    return event


def _rule(text: str) -> dict[str, Any]:
    """Return an RRULE's parts as icalendar takes them."""
    return dict(vRecur.from_ical(text.removeprefix("RRULE:")))
