"""When a task fits into somebody's days: pure rules about half hours, buffers, sleep and work.

All times that go in and come out are aware; what a clock on the wall says is that of the person's
IANA time zone, so a day may last 23 or 25 hours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.zones import zone

SLOT = timedelta(minutes=30)  # slots begin on the hour and half past
BUFFER = timedelta(minutes=15)  # kept free around what is planned
LAST_TODAY = time(21, 0)  # on the very day nothing is planned beyond
DAYS_AHEAD = 7  # whoever is full for a week is not helped by a later slot
MONDAY_TO_FRIDAY = (0, 1, 2, 3, 4)
BEDTIME, MORNING = time(23, 0), time(7, 0)  # of whoever has not said


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, its end excluded."""

    start: datetime
    end: datetime

    def overlaps(self, other: "Span") -> bool:
        """Say whether some moment belongs to both."""
        return self.start < other.end and other.start < self.end

    def widened(self, by: timedelta) -> "Span":
        """Return the span with `by` more at both ends."""
        return Span(self.start - by, self.end + by)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How somebody's days go. A window may go past midnight; without work hours none are kept."""

    time_zone: str = "UTC"
    sleep_start: time = BEDTIME
    sleep_end: time = MORNING
    work_start: time | None = None
    work_end: time | None = None
    work_days: Sequence[int] = MONDAY_TO_FRIDAY  # 0 is Monday


def at_wall(day: date, clock: time, tz: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which a wall clock shows this.

    A time that the clocks skip is as much later as they skip (RFC 5545); of one that they show
    twice it is the first.
    """
    return datetime.combine(day, clock, tzinfo=tz).astimezone(UTC)


def exists_at_wall(day: date, clock: time, tz: ZoneInfo) -> bool:
    """Say whether the clocks show this time on this day."""
    told = at_wall(day, clock, tz).astimezone(tz)
    return (told.date(), told.time()) == (day, clock)


def free_slots(
    duration: timedelta, *, busy: Iterable[Span], rhythm: Rhythm, now: datetime, days: int
) -> Iterator[Span]:
    """Yield the slots in which something of this length fits, earliest first.

    They begin after `now`, on its day or one of the `days - 1` that follow. No slot comes nearer
    than the buffer to a busy time, touches sleep or work hours, or ends later today than 21:00.
    """
    tz = zone(rhythm.time_zone)
    today = now.astimezone(tz).date()
    closed = [one.widened(BUFFER) for one in busy]
    for day in (today + timedelta(days=ahead) for ahead in range(days)):
        shut = closed + closed_hours(day, rhythm)
        for start in _starts(day, tz):
            slot = Span(start, start + duration)
            too_late = day == today and slot.end > at_wall(day, LAST_TODAY, tz)
            if start > now and not too_late and not any(map(slot.overlaps, shut)):
                yield slot


def _starts(day: date, tz: ZoneInfo) -> Iterator[datetime]:
    """Yield the moments of a day at which the clocks show an hour or half past, for the first
    time."""
    for number in range(timedelta(days=1) // SLOT):
        clock = (datetime.min + number * SLOT).time()
        if exists_at_wall(day, clock, tz):
            yield at_wall(day, clock, tz)


def closed_hours(day: date, rhythm: Rhythm) -> list[Span]:
    """Return the sleep and work hours that a slot beginning on `day` could run into."""
    tz = zone(rhythm.time_zone)
    found = []
    for begun in (day + timedelta(days=ahead) for ahead in (-1, 0, 1)):
        found += _window(begun, rhythm.sleep_start, rhythm.sleep_end, tz)
        if rhythm.work_start and rhythm.work_end and begun.weekday() in rhythm.work_days:
            found += _window(begun, rhythm.work_start, rhythm.work_end, tz)
    return found


def _window(day: date, start: time, end: time, tz: ZoneInfo) -> list[Span]:
    """Return the window that begins on `day`; one that ends when it begins is none."""
    if start == end:
        return []
    last = day if start < end else day + timedelta(days=1)
    return [Span(at_wall(day, start, tz), at_wall(last, end, tz))]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A slot, with what is told of it."""

    slot: Span
    label: str
    rationale: str


def propose(
    duration: timedelta,
    planned: datetime,
    *,
    busy: Iterable[Span],
    rhythm: Rhythm,
    now: datetime,
    limit: int = 3,
) -> list[Proposal]:
    """Return at most one slot a day, soonest first: today the next one, on later days the one
    whose time of day is nearest to the planned one."""
    tz = zone(rhythm.time_zone)
    today = now.astimezone(tz).date()
    by_day: dict[date, list[Span]] = {}
    for slot in free_slots(duration, busy=busy, rhythm=rhythm, now=now, days=DAYS_AHEAD):
        by_day.setdefault(slot.start.astimezone(tz).date(), []).append(slot)
    usual = _minutes(planned.astimezone(tz))
    found = []
    for day, slots in list(by_day.items())[:limit]:
        best = min(slots, key=lambda one: abs(_minutes(one.start.astimezone(tz)) - usual))
        chosen = slots[0] if day == today else best
        found.append(_proposal(chosen, tz, today, usual))
    return found


def _proposal(slot: Span, tz: ZoneInfo, today: date, usual: int) -> Proposal:
    start = slot.start.astimezone(tz)
    if start.date() == today:
        return Proposal(slot, f"Later today, {start:%H:%M}", "The next free time today.")
    name = "Tomorrow" if start.date() - today == timedelta(days=1) else f"{start:%A}"
    same = _minutes(start) == usual
    why = "The same time of day as planned." if same else "Free, and near the usual time of day."
    return Proposal(slot, f"{name}, {start:%H:%M}", why)


def _minutes(moment: datetime) -> int:
    return moment.hour * 60 + moment.minute
