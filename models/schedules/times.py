"""When a schedule fires: pure functions of its cadence and a moment.

A cron line is read in its time zone by `cronsim`, as Debian's cron reads it. Where the line names
hours, it fires at each of them once a day: an hour that the clock skips in spring is made up for
right after the gap, one that it repeats in autumn counts the first time only. Where the hour is
`*`, and for intervals, time is what passes, whatever the clock on the wall does.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from uuid import UUID
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from models.errors import Unprocessable

LATE_S = 10.0  # longer than a beat takes to start again: what is later was missed
FIELDS = 5
_INSTANT = timedelta(microseconds=1)
_FIRST_WINDOW = timedelta(hours=1)


class InvalidCron(Unprocessable):
    """This is no cron line of five fields that ever comes true."""

    code = "invalid_cron"


class CatchUp(StrEnum):
    """What becomes of fires that nobody was there for."""

    SKIP = "skip"
    ONE = "one"  # the newest of them stands for all
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Cadence:
    """A cron line in a time zone, or an interval that is counted from `anchor`."""

    cron: str | None
    every_s: int | None
    time_zone: str
    anchor: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the fire times after `moment`, in UTC, each later than the one before."""
        if self.cron is None:
            yield from self._intervals(moment)
            return
        last = moment
        with_zone = moment.astimezone(ZoneInfo(self.time_zone))
        for local in CronSim(_hours_named(self.cron), with_zone):
            at = local.astimezone(UTC)
            if at > last:  # in the hour that autumn repeats, the line looks back to its first half
                yield at
                last = at

    def next(self, moment: datetime) -> datetime | None:
        """Return the first fire time after `moment`; None if there is none in 50 years."""
        return next(self.after(moment), None)

    def newest(self, first: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return the last `limit` fire times from `first` to `until`, both included, in order."""
        start = first - _INSTANT
        if self.every_s is not None:
            start = max(start, until - timedelta(seconds=self.every_s * limit))
            return [*self._until(start, until)]
        window = _FIRST_WINDOW
        while True:  # a window that doubles: a year of minutes is not gone through one by one
            since = max(start, until - window)
            found = [*self._until(since, until)]
            if len(found) >= limit or since == start:
                return found[-limit:]
            window *= 2

    def _until(self, since: datetime, until: datetime) -> Iterator[datetime]:
        for at in self.after(since):
            if at > until:
                return
            yield at

    def _intervals(self, moment: datetime) -> Iterator[datetime]:
        assert self.every_s is not None
        step = timedelta(seconds=self.every_s)
        passed = (moment - self.anchor) // step
        for number in count(max(0, passed + 1)):
            yield self.anchor + number * step


def _hours_named(cron: str) -> str:
    """Return a line whose stars are written out if it names hours, as cronsim's rule for DST asks.

    It takes a line for one of fixed times only if neither minute nor hour begins with a star.
    """
    minute, hour, *days = cron.split()
    if hour != "*":
        minute, hour = re.sub(r"^\*", "0-59", minute), re.sub(r"^\*", "0-23", hour)
    return " ".join((minute, hour, *days))


def check_cron(cron: str, *, now: datetime) -> str:
    """Return a cron line, tidied. Raises InvalidCron, with what is wrong."""
    fields = cron.split()
    if len(fields) != FIELDS:
        raise InvalidCron(cron=cron, problem=f"{len(fields)} fields instead of {FIELDS}")
    try:
        first = next(CronSim(_hours_named(cron), now), None)
    except CronSimError as error:
        raise InvalidCron(cron=cron, problem=str(error)) from None
    if first is None:
        raise InvalidCron(cron=cron, problem="no such day in 50 years")
    return " ".join(fields)


def due_at(cadence: Cadence, schedule_id: UUID, at: datetime, *, jitter_s: int) -> datetime:
    """Return when the fire of `at` is to happen: up to `jitter_s` later, before the next one.

    How much later is derived from schedule and time: every beat comes to the same moment.
    """
    if not jitter_s:
        return at
    spread = timedelta(seconds=jitter_s)
    following = cadence.next(at)
    if following is not None:
        spread = min(spread, following - at)
    digest = hashlib.sha256(f"{schedule_id} {at.isoformat()}".encode()).digest()
    return at + spread * (int.from_bytes(digest[:4]) / 2**32)


@dataclass(frozen=True, slots=True)
class Choice:
    """What happens at a tick: the fire that is next, and whether earlier ones were let go."""

    fire: datetime | None
    missed: bool
    done_until: datetime  # what comes after this is still to be decided


def choose(
    due: Sequence[datetime], *, first: datetime, late: datetime, catch_up: CatchUp
) -> Choice:
    """Say which of the fires that are due, at least one and in order, is the next to happen.

    `first`: the earliest one, which may be so old that it is no longer among `due`. Those before
    `late` are subject to `catch_up`; a shorter delay changes nothing.
    """
    timely = [at for at in due if at >= late]
    wanted = {
        CatchUp.ALL: due,
        CatchUp.ONE: timely or due[-1:],
        CatchUp.SKIP: timely,
    }[catch_up]
    if not wanted:
        return Choice(None, missed=True, done_until=due[-1])
    return Choice(wanted[0], missed=wanted[0] > first, done_until=wanted[0])
