"""When schedules fire: examples at the changes of clocks, and laws for every cadence."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.schedules.times import (
    Cadence,
    CatchUp,
    InvalidCron,
    check_cron,
    choose,
    due_at,
)
from models.zones import UnknownTimeZone, check_zone

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Havana", "Africa/Casablanca", "Pacific/Apia",
]  # fmt: skip


def cron(line: str, zone: str = "UTC") -> Cadence:
    return Cadence(line, None, zone, NOW)


def walls(cadence: Cadence, since: datetime, count: int) -> list[str]:
    zone = ZoneInfo(cadence.time_zone)
    found = islice(cadence.after(since), count)
    return [at.astimezone(zone).strftime("%d. %H:%M %z") for at in found]


SPRING = datetime(2026, 3, 28, 0, tzinfo=UTC)  # Berlin: on the 29th from 2:00 to 3:00
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)  # on the 25th from 3:00 to 2:00


def test_an_hour_that_spring_skips_is_made_up_for_once_right_after_the_gap() -> None:
    told = walls(cron("30 2 * * *", "Europe/Berlin"), SPRING, 3)
    assert told == ["28. 02:30 +0100", "29. 03:00 +0200", "30. 02:30 +0200"]


@pytest.mark.parametrize("line", ["*/20 2 * * *", "0,20,40 2 * * *", "* 2 * * *"])
def test_all_that_the_gap_skips_is_made_up_for_by_one_fire(line: str) -> None:
    since = SPRING + timedelta(hours=12)
    assert walls(cron(line, "Europe/Berlin"), since, 2) == ["29. 03:00 +0200", "30. 02:00 +0200"]


def test_a_fire_of_the_gap_and_one_right_after_it_are_one() -> None:
    told = walls(cron("0 2,3 * * *", "Europe/Berlin"), SPRING + timedelta(hours=3), 2)
    assert told == ["29. 03:00 +0200", "30. 02:00 +0200"]


def test_an_hour_that_autumn_repeats_counts_once() -> None:
    told = walls(cron("*/30 2 * * *", "Europe/Berlin"), AUTUMN, 3)
    assert told == ["25. 02:00 +0200", "25. 02:30 +0200", "26. 02:00 +0100"]


def test_every_second_hour_keeps_to_the_clock_on_the_wall() -> None:
    told = walls(cron("0 */2 * * *", "Europe/Berlin"), AUTUMN + timedelta(hours=10, minutes=30), 3)
    assert told == ["25. 02:00 +0200", "25. 04:00 +0100", "25. 06:00 +0100"]


def test_a_beat_that_wakes_in_the_repeated_hour_does_not_fire_again() -> None:
    second_half_past_two = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 2:10, for the second time
    told = walls(cron("30 2 * * *", "Europe/Berlin"), second_half_past_two, 1)
    assert told == ["26. 02:30 +0100"]


@pytest.mark.parametrize("since", [SPRING, AUTUMN])
def test_every_hour_means_every_hour_that_passes(since: datetime) -> None:
    fires = islice(cron("15 * * * *", "Europe/Berlin").after(since), 60)
    assert {later - one for one, later in pairwise(fires)} == {timedelta(hours=1)}


def test_intervals_count_from_their_anchor_whatever_the_clock_does() -> None:
    cadence = Cadence(None, 5400, "Europe/Berlin", SPRING)
    fires = [*islice(cadence.after(SPRING + timedelta(hours=100)), 3)]
    assert [(at - SPRING).total_seconds() % 5400 for at in fires] == [0, 0, 0]
    assert fires[0] == SPRING + timedelta(hours=100.5)
    assert cadence.next(SPRING - timedelta(days=9)) == SPRING


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("* * * *", "4 fields instead of 5"),
        ("0 0 * * * *", "6 fields instead of 5"),
        ("61 * * * *", "Bad minute"),
        ("0 0 31 2 *", "Bad day-of-month"),
        ("0 0 * * MON#6", "Bad day-of-week"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("@daily", "1 fields instead of 5"),
        ("", "0 fields instead of 5"),
    ],
)
def test_a_line_that_never_comes_true_is_refused(line: str, problem: str) -> None:
    with pytest.raises(InvalidCron) as refused:
        check_cron(line, now=NOW)
    assert refused.value.details["problem"] == problem


@given(line=st.text("0123456789*/,-#LWmonfeb ²ß\x00", max_size=40))
@settings(max_examples=300)
def test_no_line_breaks_the_check(line: str) -> None:
    try:
        tidy = check_cron(line, now=NOW)
    except InvalidCron:
        return
    assert cron(tidy).next(NOW) is not None


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "europe/berlin"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimeZone):
        check_zone(name)


@st.composite
def cadences(draw: st.DrawFn) -> Cadence:
    zone = draw(st.sampled_from(ZONES))
    if draw(st.booleans()):
        return Cadence(None, draw(st.integers(1, 100_000)), zone, NOW)
    minute = draw(st.sampled_from(["*", "*/7", "0", "59", "5-20/5", "0,30"]))
    hour = draw(st.sampled_from(["*", "*/2", "0", "1,2,3", "2", "23", "0-4"]))
    days = draw(st.sampled_from(["* * *", "1 * *", "* * SUN", "L * *", "* 3,10,11 *", "29 2 *"]))
    return Cadence(f"{minute} {hour} {days}", None, zone, NOW)


MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(
    lambda at: at.replace(tzinfo=UTC)
)


@given(cadence=cadences(), since=MOMENTS)
@settings(max_examples=200, deadline=None)
def test_fires_are_later_and_later_and_the_same_from_wherever_one_looks(
    cadence: Cadence, since: datetime
) -> None:
    fires = [*islice(cadence.after(since), 20)]

    assert all(one < later for one, later in pairwise([since, *fires]))
    for one, later in pairwise(fires):
        assert cadence.next(one) == later
        assert cadence.next(one + (later - one) / 2) == later
    assert cadence.newest(fires[0], fires[-1], 50) == fires
    assert cadence.newest(fires[0], fires[-1], 3) == fires[-3:]


@given(since=MOMENTS, zone=st.sampled_from(ZONES), hour=st.integers(0, 23))
@settings(max_examples=200, deadline=None)
def test_a_daily_line_fires_once_on_every_day(since: datetime, zone: str, hour: int) -> None:
    fires = islice(cron(f"30 {hour} * * *", zone).after(since), 40)
    days = [at.astimezone(ZoneInfo(zone)).date() for at in fires]
    assert all(later - one == timedelta(days=1) for one, later in pairwise(days))


@given(cadence=cadences(), since=MOMENTS, jitter_s=st.integers(0, 86_400))
@settings(max_examples=200, deadline=None)
def test_jitter_is_the_same_each_time_and_keeps_the_order(
    cadence: Cadence, since: datetime, jitter_s: int
) -> None:
    schedule = uuid4()
    for at, following in pairwise(islice(cadence.after(since), 5)):
        due = due_at(cadence, schedule, at, jitter_s=jitter_s)
        assert at <= due < following
        assert due - at <= timedelta(seconds=jitter_s)
        assert due == due_at(cadence, schedule, at, jitter_s=jitter_s)


def minutes(*numbers: int) -> list[datetime]:
    return [NOW + timedelta(minutes=number) for number in numbers]


@pytest.mark.parametrize(
    ("catch_up", "fire", "missed", "until"),
    [
        (CatchUp.SKIP, None, True, 3),
        (CatchUp.ONE, 3, True, 3),
        (CatchUp.ALL, 1, False, 1),
    ],
)
def test_missed_fires_are_let_go_stood_for_or_made_up_for(
    catch_up: CatchUp, fire: int | None, missed: bool, until: int
) -> None:
    first, *_ = due = minutes(1, 2, 3)
    (late,) = minutes(10)

    choice = choose(due, first=first, late=late, catch_up=catch_up)

    assert choice.fire == (None if fire is None else minutes(fire)[0])
    assert (choice.missed, choice.done_until) == (missed, minutes(until)[0])


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_short_delay_is_no_miss(catch_up: CatchUp) -> None:
    first, *_ = due = minutes(1, 2)
    choice = choose(due, first=first, late=first, catch_up=catch_up)
    assert (choice.fire, choice.missed) == (first, False)
