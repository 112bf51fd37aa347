"""Rules by which a task comes again: RFC 5545 RRULEs, on the wall clock of the task's time zone.

A rule whose parts exclude one another ("every 30 February") would be searched for to the end of
the calendar, which takes many seconds. So a rule is taken only if its parts alone show that it
comes again; what may be combined is less than the RFC allows, and all that calendars offer.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, islice, product, takewhile
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from models.errors import Unprocessable
from models.zones import zone

Parts = dict[str, str]

# the longest interval of each: below a day there are no tasks, beyond four years no plans
LONGEST = {"DAILY": 366, "WEEKLY": 53, "MONTHLY": 24, "YEARLY": 4}
PARTS = {
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS",
    "BYHOUR", "BYMINUTE",
}  # fmt: skip
RULE_CHARS = 300
MAX_COUNT = 1000
A_DAY_AT_MOST = 6  # occurrences, by BYHOUR and BYMINUTE
UNTIL = re.compile(r"\d{8}(T\d{6}Z?)?")
DAY = re.compile(r"([+-]?\d)?(MO|TU|WE|TH|FR|SA|SU)")
DAYS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}  # of a month at most; of the others 31
IN_EVERY_MONTH = 28
WEEKDAYS_IN_EVERY_MONTH = 4  # of each kind; of some kinds a fifth
SEARCHED = timedelta(days=366 * 40)  # 29 February on a Monday comes again within it, also in 2100
AT_ONCE = 1000  # occurrences given in one call


class InvalidRecurrence(Unprocessable):
    """This is no rule of recurrence that can be kept to."""

    code = "invalid_recurrence"


def check_rule(text: str) -> str:
    """Return a rule in its plain form: upper case, no name. Raises InvalidRecurrence."""
    plain = text.strip().upper().removeprefix("RRULE:").rstrip(";")
    if len(plain) > RULE_CHARS or not re.fullmatch(r"[A-Z0-9=;,+-]+", plain):
        raise InvalidRecurrence()
    pairs = [part.partition("=") for part in plain.split(";")]
    parts = {name: value for name, _, value in pairs}
    if len(parts) < len(pairs) or not parts.keys() <= PARTS or not all(parts.values()):
        raise InvalidRecurrence("The rule has parts that are unknown, empty or said twice.")
    if parts.get("FREQ") not in LONGEST:
        raise InvalidRecurrence(f"FREQ is one of {', '.join(LONGEST)}.")
    _check_extent(parts)
    _check_days(parts)
    _check_interval(parts)
    _parsed(plain, datetime(2024, 1, 1, 9))  # any day: whether it can be read at all
    return plain


def _check_extent(parts: Parts) -> None:
    for name, most in (("COUNT", MAX_COUNT), ("INTERVAL", LONGEST[parts["FREQ"]])):
        value = parts.get(name, "1")
        if not value.isdecimal() or not 1 <= int(value) <= most:
            raise InvalidRecurrence(f"{name} is a number from 1 to {most}.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidRecurrence("A rule has COUNT or UNTIL, not both.")
    if "UNTIL" in parts and not UNTIL.fullmatch(parts["UNTIL"]):
        raise InvalidRecurrence("UNTIL is a date, or a time such as 20261231T180000Z.")
    times = [set(parts.get(name, "0").split(",")) for name in ("BYHOUR", "BYMINUTE")]
    if len(times[0]) * len(times[1]) > A_DAY_AT_MOST:
        raise InvalidRecurrence(f"A task comes at most {A_DAY_AT_MOST} times a day.")


def _check_days(parts: Parts) -> None:
    """Refuse days that there are not, and parts that may exclude one another."""
    months = _numbers(parts, "BYMONTH", 12) or list(range(1, 13))
    dates = _numbers(parts, "BYMONTHDAY", 31, negative=True)
    if dates and not any(abs(day) <= DAYS.get(m, 31) for m, day in product(months, dates)):
        raise InvalidRecurrence("No such day is in these months.")
    found = [DAY.fullmatch(day) for day in _listed(parts, "BYDAY")]
    own_day = not dates and not found and parts["FREQ"] in ("MONTHLY", "YEARLY")
    if own_day and DAYS.keys() >= set(months):
        raise InvalidRecurrence("BYMONTHDAY or BYDAY says which days of these months.")
    if not all(found):
        raise InvalidRecurrence("BYDAY names days such as MO, or 2MO for the second Monday.")
    numbered = any(day and day[1] for day in found)
    if numbered and not all(day and day[1] for day in found):
        raise InvalidRecurrence("BYDAY numbers all of its days, or none.")
    if numbered and (dates or parts["FREQ"] in ("DAILY", "WEEKLY")):
        raise InvalidRecurrence("Numbered days are for months and years, without BYMONTHDAY.")
    if any(day and day[1] and not 1 <= abs(int(day[1])) <= 5 for day in found):
        raise InvalidRecurrence("A weekday is numbered from 1 to 5, or -1 to -5.")
    _check_places(parts, plain_days=bool(found) and not numbered and not dates)


def _check_places(parts: Parts, *, plain_days: bool) -> None:
    if "BYSETPOS" not in parts:
        return
    _numbers(parts, "BYSETPOS", WEEKDAYS_IN_EVERY_MONTH, negative=True)
    if parts["FREQ"] != "MONTHLY" or not plain_days:
        raise InvalidRecurrence("BYSETPOS is for the days of a month that BYDAY names.")


def _check_interval(parts: Parts) -> None:
    """Refuse what a longer interval may leap over for ever."""
    if int(parts.get("INTERVAL", "1")) == 1:
        return
    leapt: dict[str, set[str]] = {
        "DAILY": {"BYMONTH", "BYMONTHDAY", "BYDAY"},
        "WEEKLY": {"BYMONTH", "BYMONTHDAY"},
        "MONTHLY": {"BYMONTH"},
        "YEARLY": set(),
    }
    rare = [day for day in _listed(parts, "BYMONTHDAY") if abs(int(day)) > IN_EVERY_MONTH]
    rare += [day for day in _listed(parts, "BYDAY") if "5" in day]
    both = {"BYMONTHDAY", "BYDAY"} <= parts.keys()
    if rare or both or leapt[parts["FREQ"]] & parts.keys():
        raise InvalidRecurrence("With such an INTERVAL these days may never come.")


def _listed(parts: Parts, name: str) -> list[str]:
    return parts[name].split(",") if name in parts else []


def _numbers(parts: Parts, name: str, most: int, *, negative: bool = False) -> list[int]:
    values = _listed(parts, name)
    signs = r"[+-]?" if negative else r"\+?"
    if not all(re.fullmatch(signs + r"\d{1,2}", one) for one in values):
        raise InvalidRecurrence(f"{name} lists numbers.")
    numbers = [int(one) for one in values]
    if not all(1 <= abs(one) <= most for one in numbers):
        raise InvalidRecurrence(f"{name} lists numbers up to {most}.")
    return numbers


def _parsed(plain: str, begin: datetime) -> rrule:
    """Return the rule on a wall clock without a zone; UNTIL is read on the same clock."""
    try:
        rule = rrulestr(plain, dtstart=begin, ignoretz=True)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise InvalidRecurrence() from error
    assert isinstance(rule, rrule)
    return rule


def occurrences(
    rule: str, start: datetime, time_zone: str, *, since: datetime, until: datetime
) -> list[datetime]:
    """Return the moments, in UTC, at which a task comes that began at `start`: those from `since`
    on and before `until`, at most a thousand.

    `rule` has been checked.
    """
    later = dropwhile(lambda one: one < since, _coming(rule, start, time_zone))
    return list(islice(takewhile(lambda one: one < until, later), AT_ONCE))


def _coming(rule: str, start: datetime, time_zone: str) -> Iterator[datetime]:
    tz = zone(time_zone)
    begin = start.astimezone(tz).replace(tzinfo=None)
    last = start + SEARCHED
    for one in _parsed(_on_wall(rule, tz), begin):
        moment = one.replace(tzinfo=tz).astimezone(UTC)
        if moment > last:
            return
        yield moment


def _on_wall(rule: str, tz: ZoneInfo) -> str:
    """Return the rule with an UNTIL in UTC put on the wall clock of the zone."""
    parts = _split(rule)
    if parts.get("UNTIL", "").endswith("Z"):
        moment = datetime.strptime(parts["UNTIL"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        parts["UNTIL"] = f"{moment.astimezone(tz):%Y%m%dT%H%M%S}"
    return _joined(parts)


def advanced(rule: str, start: datetime, time_zone: str) -> tuple[datetime, str] | None:
    """Return when a task comes after `start`, and the rule that holds from there on.

    None when `start` was the last time. A COUNT counts what is left.
    """
    later = next((one for one in _coming(rule, start, time_zone) if one > start), None)
    if later is None:
        return None
    parts = _split(rule)
    if "COUNT" in parts:
        parts["COUNT"] = str(int(parts["COUNT"]) - 1)
    return later, _joined(parts)


def _split(rule: str) -> Parts:
    return dict(part.split("=", 1) for part in rule.split(";"))


def _joined(parts: Parts) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())
