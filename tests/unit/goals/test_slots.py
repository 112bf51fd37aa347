from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.goals.slots import (
    BUFFER,
    Rhythm,
    Span,
    at_wall,
    closed_hours,
    exists_at_wall,
    free_slots,
    propose,
)
from models.zones import UnknownTimeZone, zone

HOUR = timedelta(hours=1)
BERLIN = Rhythm(time_zone="Europe/Berlin")
MORNING = datetime(2026, 3, 2, 9, 10, tzinfo=UTC)  # a Monday, 10:10 in Berlin


def starts(rhythm: Rhythm, *busy: Span, now: datetime = MORNING, days: int = 1) -> list[str]:
    found = free_slots(HOUR, busy=busy, rhythm=rhythm, now=now, days=days)
    return [f"{one.start.astimezone(ZoneInfo(rhythm.time_zone)):%a %H:%M}" for one in found]


def test_slots_begin_on_the_half_hour_and_end_today_by_nine_in_the_evening() -> None:
    found = starts(BERLIN)
    assert (found[0], found[-1], len(found)) == ("Mon 10:30", "Mon 20:00", 20)


def test_what_is_planned_keeps_a_quarter_of_an_hour_around_it() -> None:
    lunch = Span(at_wall(date(2026, 3, 2), time(12), zone("Europe/Berlin")), MORNING + 4 * HOUR)
    found = starts(BERLIN, lunch)  # 12:00 to 14:10
    assert "Mon 10:30" in found  # ends 11:30
    assert not {"Mon 11:00", "Mon 14:00"} & set(found)
    assert "Mon 14:30" in found


def test_nothing_is_left_of_a_day_after_nine_in_the_evening() -> None:
    late = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)  # 21:30 in Berlin
    assert starts(BERLIN, now=late) == []
    assert starts(BERLIN, now=late, days=2)[0] == "Tue 07:00"


def test_a_later_day_goes_on_until_bedtime() -> None:
    assert starts(BERLIN, days=2)[-1] == "Tue 22:00"


def test_sleep_and_work_hours_are_kept_free_on_their_days() -> None:
    rhythm = Rhythm("Europe/Berlin", time(22), time(6, 30), time(9), time(17))
    friday = datetime(2026, 3, 6, 22, 0, tzinfo=UTC)
    saturday = starts(rhythm, now=friday, days=2)
    monday = [one for one in starts(rhythm, now=friday, days=4) if one.startswith("Mon")]
    assert "Sat 10:00" in saturday
    assert monday[:5] == ["Mon 06:30", "Mon 07:00", "Mon 07:30", "Mon 08:00", "Mon 17:00"]
    assert monday[-1] == "Mon 21:00"


def test_who_works_at_night_and_sleeps_by_day_has_slots_too() -> None:
    rhythm = Rhythm("Europe/Berlin", time(8), time(15), time(21), time(6), (0, 1, 2, 3, 4, 5, 6))
    assert starts(rhythm)[:1] == ["Mon 15:00"]


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 3, 2), 24)]
)
def test_a_day_has_as_many_hours_as_its_clocks_give_it(day: date, hours: int) -> None:
    sleepless = Rhythm("Europe/Berlin", time(0), time(0))
    tz = zone("Europe/Berlin")
    now = at_wall(day, time(0), tz) - HOUR
    slots = [
        one
        for one in free_slots(timedelta(minutes=30), busy=[], rhythm=sleepless, now=now, days=2)
        if one.start.astimezone(tz).date() == day
    ]
    skipped, twice = (2, 0) if hours == 23 else (0, 2 if hours == 25 else 0)
    assert len(slots) == 48 - skipped
    length = at_wall(day + timedelta(days=1), time(0), tz) - at_wall(day, time(0), tz)
    assert length == timedelta(hours=hours) == timedelta(minutes=30) * (48 - skipped + twice)


def test_a_slot_begins_on_the_half_hour_where_zones_do_not() -> None:
    nepal = Rhythm("Asia/Kathmandu")  # 5:45 ahead
    assert starts(nepal)[0] == "Mon 15:00"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "/etc", "A\x00"])
def test_a_zone_that_nobody_lives_in_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimeZone):
        zone(name)


CLOCKS = st.sampled_from([time(h, m) for h in range(24) for m in (0, 30)])
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]
)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@settings(max_examples=80, deadline=None)
@given(
    rhythm=st.builds(Rhythm, ZONES, CLOCKS, CLOCKS, CLOCKS, CLOCKS),
    now=MOMENTS,
    gaps=st.lists(st.tuples(st.integers(0, 96), st.integers(1, 12)), max_size=5),
    minutes=st.integers(1, 300),
)
def test_no_slot_ever_breaks_a_rule(
    rhythm: Rhythm, now: datetime, gaps: list[tuple[int, int]], minutes: int
) -> None:
    half = timedelta(minutes=30)
    busy = [Span(now + gap * half, now + (gap + length) * half) for gap, length in gaps]
    tz = ZoneInfo(rhythm.time_zone)
    today = now.astimezone(tz).date()
    length = timedelta(minutes=minutes)
    for slot in free_slots(length, busy=busy, rhythm=rhythm, now=now, days=3):
        local = slot.start.astimezone(tz)
        assert slot.start > now
        assert slot.end - slot.start == length
        assert (local.minute % 30, local.second) == (0, 0)
        assert exists_at_wall(local.date(), local.time(), tz)
        assert not any(slot.overlaps(one.widened(BUFFER)) for one in busy)
        assert not any(slot.overlaps(one) for one in closed_hours(local.date(), rhythm))
        if local.date() == today:
            assert slot.end <= at_wall(today, time(21), tz)


def test_suggestions_are_one_a_day_near_the_usual_time() -> None:
    planned = at_wall(date(2026, 3, 2), time(18), zone("Europe/Berlin"))
    found = propose(HOUR, planned, busy=[], rhythm=BERLIN, now=MORNING)
    assert [one.label for one in found] == [
        "Later today, 10:30", "Tomorrow, 18:00", "Wednesday, 18:00",
    ]  # fmt: skip
    assert found[1].rationale == "The same time of day as planned."


def test_a_task_longer_than_every_gap_has_no_suggestion() -> None:
    found = propose(timedelta(hours=17), MORNING, busy=[], rhythm=BERLIN, now=MORNING)
    assert found == []
