import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.goals.recurrence import InvalidRecurrence, advanced, check_rule, occurrences

BERLIN = "Europe/Berlin"
START = datetime(
    2026, 3, 23, 8, 0, tzinfo=UTC
)  # a Monday, 9:00 in Berlin, before the clocks change


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("freq=weekly;byday=mo,we,fr", "FREQ=WEEKLY;BYDAY=MO,WE,FR"),
        (" RRULE:FREQ=DAILY;COUNT=10; ", "FREQ=DAILY;COUNT=10"),
        ("FREQ=MONTHLY;BYDAY=-1FR", "FREQ=MONTHLY;BYDAY=-1FR"),
        ("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=-1"),
        ("FREQ=DAILY;UNTIL=20261231T180000Z", "FREQ=DAILY;UNTIL=20261231T180000Z"),
        ("FREQ=DAILY;BYHOUR=8,20", "FREQ=DAILY;BYHOUR=8,20"),
    ],
)
def test_a_rule_that_calendars_offer_is_kept_in_its_plain_form(told: str, kept: str) -> None:
    assert check_rule(told) == kept


@pytest.mark.parametrize(
    "told",
    [
        "", "every Monday", "FREQ", "FREQ=", "COUNT=3", "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=SECONDLY", "FREQ=MINUTELY;COUNT=3", "FREQ=HOURLY",
        "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=1001", "FREQ=DAILY;COUNT=-1",
        "FREQ=DAILY;INTERVAL=0", "FREQ=YEARLY;INTERVAL=1000", "FREQ=DAILY;INTERVAL=\u0661",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101", "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20261345",
        "FREQ=DAILY;BYHOUR=1,2,3,4,5,6,7", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,10,20",
        "FREQ=DAILY;BYHOUR=25", "FREQ=DAILY;BYSECOND=1", "FREQ=DAILY;BYEASTER=0",
        "FREQ=YEARLY;BYMONTH=2", "FREQ=MONTHLY;BYMONTH=2,4", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=0", "FREQ=DAILY;BYMONTHDAY=32",
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29", "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20",
        "FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY;BYDAY=6MO", "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        "FREQ=DAILY\nDTSTART:20260101", "FREQ=DAILY;" + "BYDAY=MO," * 60, "FREQ=DAILY\x00",
    ],
)  # fmt: skip
def test_a_rule_that_never_comes_or_comes_too_often_is_refused_at_once(told: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidRecurrence):
        check_rule(told)
    assert time.monotonic() - began < 0.5


WEEKDAYS = st.lists(
    st.tuples(
        st.sampled_from(["", "1", "-1", "5", "-5"]),
        st.sampled_from(["MO", "TU", "SA"]),
    ).map("".join),
    min_size=1,
    max_size=3,
).map(",".join)


def few(*values: object) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in values])


RULES = st.fixed_dictionaries(
    {"FREQ": few("DAILY", "WEEKLY", "MONTHLY", "YEARLY")},
    optional={
        "INTERVAL": few(1, 2, 3, 4, 7, 12, 24, 366),
        "BYDAY": WEEKDAYS,
        "BYMONTH": few(1, 2, 4, "2,4", 12),
        "BYMONTHDAY": few(1, 28, 29, 30, 31, "29,31", -1, -31),
        "BYSETPOS": few(1, -1, 4, 5),
        "BYHOUR": few(0, "2,3"),
    },
).map(lambda parts: ";".join(f"{name}={value}" for name, value in parts.items()))


@settings(max_examples=300, deadline=500)  # milliseconds: a search to the end of time takes 20 s
@given(
    rule=RULES, start=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 31)), zone=few(BERLIN)
)
def test_every_rule_that_is_taken_comes_again(rule: str, start: datetime, zone: str) -> None:
    try:
        kept = check_rule(rule)
    except InvalidRecurrence:
        return
    begin = start.replace(tzinfo=UTC, second=0, microsecond=0)
    found = advanced(kept, begin, zone)
    assert found is not None
    assert found[0] > begin


def test_a_task_keeps_its_time_of_day_when_the_clocks_change() -> None:
    found = occurrences(
        "FREQ=WEEKLY", START, BERLIN, since=START, until=datetime(2026, 4, 7, tzinfo=UTC)
    )
    assert [(one.day, one.hour) for one in found] == [(23, 8), (30, 7), (6, 7)]


def test_a_time_that_the_clocks_skip_comes_an_hour_later() -> None:
    begin = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)  # 2:30 in Berlin; on the 29th there is none
    found = occurrences(
        "FREQ=DAILY;COUNT=3", begin, BERLIN, since=begin, until=datetime(2026, 4, 9, tzinfo=UTC)
    )
    assert [(one.day, one.hour) for one in found] == [(28, 1), (29, 1), (30, 0)]


def test_until_in_utc_is_read_in_utc() -> None:
    rule = "FREQ=DAILY;UNTIL=20260325T080000Z"
    found = occurrences(rule, START, BERLIN, since=START, until=datetime(2027, 1, 1, tzinfo=UTC))
    assert [one.day for one in found] == [23, 24, 25]


def test_going_on_counts_down_and_ends() -> None:
    assert advanced("FREQ=DAILY;COUNT=2", START, BERLIN) == (
        datetime(2026, 3, 24, 8, 0, tzinfo=UTC),
        "FREQ=DAILY;COUNT=1",
    )
    assert advanced("FREQ=DAILY;COUNT=1", START, BERLIN) is None


def test_an_endless_rule_gives_a_bounded_number() -> None:
    assert occurrences(
        "FREQ=DAILY",
        START,
        BERLIN,
        since=datetime(2031, 7, 1, tzinfo=UTC),
        until=datetime(2031, 7, 2, tzinfo=UTC),
    ) == [datetime(2031, 7, 1, 7, tzinfo=UTC)]
    found = occurrences(
        "FREQ=DAILY", START, BERLIN, since=START, until=datetime(2090, 1, 1, tzinfo=UTC)
    )
    assert len(found) == 1000
