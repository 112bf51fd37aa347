"""Schedules in simulated time: weeks of ticks, clocks that change, beats that sleep."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from config.db import connection, transaction
from models.accounts import User
from models.base import now as present
from models.jobs.tables import Job, JobStatus
from models.schedules import keeping
from models.schedules.tables import Schedule, ScheduleCreate, ScheduleFire
from tasks import firing
from tests.pipelines import OWNER

BERLIN = ZoneInfo("Europe/Berlin")
MARCH = datetime(2026, 3, 27, 12, tzinfo=UTC)  # two days before the clocks change
OCTOBER = datetime(2026, 10, 23, 12, tzinfo=UTC)


def schedule(since: datetime, **fields: Any) -> UUID:
    new = ScheduleCreate(name="A test", pipeline="tests.fan", **fields)
    with transaction() as session:
        row = keeping.keep_schedule(session, new, input={"count": 1}, owner=OWNER)
        row.anchor = since
        keeping.aim(row, after=since)
        return row.id


def fires(status: str | None = "started") -> list[datetime]:
    query = select(ScheduleFire).order_by(col(ScheduleFire.scheduled_for))
    with transaction() as session:
        rows = session.exec(query).all()
        return [row.scheduled_for for row in rows if status in (None, row.status)]


def jobs() -> int:
    with transaction() as session:
        return len(session.exec(select(Job.id)).all())


def live(since: datetime, until: datetime, step: timedelta) -> None:
    """Tick until a moment, as a beat does that wakes every `step`."""
    at = since
    while at <= until:
        firing.tick(at)
        at += step


def end_jobs() -> None:
    with transaction() as session:
        for job in session.exec(select(Job)):
            job.status, job.finished_at = JobStatus.SUCCEEDED, present()


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has an owner."""


def test_a_week_over_the_spring_gap_has_one_fire_a_day() -> None:
    schedule(MARCH, cron="30 2 * * *", time_zone="Europe/Berlin", overlap="allow")

    live(MARCH, MARCH + timedelta(days=5), timedelta(minutes=10))

    assert [f"{at.astimezone(BERLIN):%d. %H:%M}" for at in fires()] == [
        "28. 02:30", "29. 03:00", "30. 02:30", "31. 02:30", "01. 02:30",
    ]  # fmt: skip
    assert jobs() == 5


def test_a_week_over_the_autumn_fold_has_one_fire_a_day() -> None:
    schedule(OCTOBER, cron="30 2 * * *", time_zone="Europe/Berlin", overlap="allow")

    live(OCTOBER, OCTOBER + timedelta(days=4), timedelta(minutes=10))

    assert [f"{at.astimezone(BERLIN):%d. %H:%M %z}" for at in fires()] == [
        "24. 02:30 +0200", "25. 02:30 +0200", "26. 02:30 +0100", "27. 02:30 +0100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("catch_up", "made_up_for"), [("skip", []), ("one", [9]), ("all", [*range(10)])]
)
def test_what_a_sleeping_beat_missed_goes_by_the_policy(
    catch_up: str, made_up_for: list[int]
) -> None:
    schedule(MARCH, every_s=60, catch_up=catch_up, overlap="allow")
    asleep = MARCH + timedelta(seconds=650)  # the newest fire is 50 s old

    firing.tick(asleep)
    live(asleep, asleep + timedelta(seconds=15), timedelta(seconds=1))

    after = [(at - MARCH).total_seconds() / 60 - 1 for at in fires()]
    assert after == [*made_up_for, 10]
    assert len(fires("skipped")) == (0 if catch_up == "all" else 1)


def test_no_more_is_made_up_for_than_the_limit() -> None:
    schedule(MARCH, every_s=60, catch_up="all", catch_up_limit=3, overlap="allow")

    firing.tick(MARCH + timedelta(days=1))

    day = [MARCH + timedelta(days=1, minutes=-ago) for ago in (2, 1, 0)]
    assert fires() == day
    assert fires("skipped") == [MARCH + timedelta(minutes=1)]


def test_a_fire_beside_a_running_job_is_let_go() -> None:
    schedule(MARCH, every_s=60, overlap="skip")

    live(MARCH, MARCH + timedelta(minutes=3), timedelta(seconds=5))

    assert (len(fires()), len(fires("skipped")), jobs()) == (1, 2, 1)


def test_a_fire_behind_a_running_job_waits_for_its_end() -> None:
    schedule(MARCH, every_s=60, overlap="queue")
    live(MARCH, MARCH + timedelta(minutes=3), timedelta(seconds=5))
    assert (len(fires()), len(fires("waiting")), jobs()) == (1, 2, 1)

    for started in (2, 3):
        end_jobs()
        firing.tick(MARCH + timedelta(minutes=3))
        assert (len(fires()), jobs()) == (started, started)
    assert fires("waiting") == []


def test_a_waiting_fire_that_is_refused_makes_room_for_the_next() -> None:
    schedule_id = schedule(MARCH, every_s=60, overlap="queue")
    live(MARCH, MARCH + timedelta(minutes=3), timedelta(seconds=5))
    with transaction() as session:
        session.get_one(Schedule, schedule_id).input = {"count": "many"}
    end_jobs()

    firing.tick(MARCH + timedelta(minutes=3))

    assert (len(fires()), len(fires("failed")), len(fires("waiting"))) == (1, 2, 0)


def test_jitter_delays_each_fire_by_its_own_time() -> None:
    schedule(MARCH, every_s=600, jitter_s=300, overlap="allow")
    until = MARCH + timedelta(hours=2)

    seen: list[timedelta] = []
    at = MARCH
    while at <= until:
        firing.tick(at)
        seen += [at - fire for fire in fires()[len(seen) :]]
        at += timedelta(seconds=10)

    assert len(seen) in (11, 12)
    assert all(timedelta(0) <= late <= timedelta(seconds=310) for late in seen)
    assert len(set(seen)) > 5


def test_a_paused_schedule_does_not_fire_and_makes_up_for_nothing() -> None:
    schedule_id = schedule(present(), every_s=3600, catch_up="all")
    with transaction() as session:
        keeping.pause(keeping.get_schedule(session, schedule_id, owner=OWNER))
    assert firing.tick(present() + timedelta(hours=5)) is None
    assert fires(None) == []

    with transaction() as session:
        row = keeping.get_schedule(session, schedule_id, owner=OWNER)
        keeping.unpause(row)
        assert row.next_at is not None
        assert row.next_at > present()


def test_a_pipeline_that_refuses_its_input_now_is_noted_and_the_next_fire_tried() -> None:
    schedule_id = schedule(MARCH, every_s=60, overlap="allow")
    with transaction() as session:
        session.get_one(Schedule, schedule_id).input = {"count": "many"}
    live(MARCH, MARCH + timedelta(minutes=1), timedelta(seconds=20))
    with transaction() as session:
        assert session.exec(select(ScheduleFire.reason)).all() == ["invalid_input"]
        session.get_one(Schedule, schedule_id).input = {"count": 1}

    live(MARCH, MARCH + timedelta(minutes=2), timedelta(seconds=20))

    assert (len(fires("failed")), len(fires()), jobs()) == (1, 1, 1)


def test_a_pipeline_of_another_version_is_left_to_its_beats() -> None:
    schedule_id = schedule(MARCH, every_s=60)
    with transaction() as session:
        session.get_one(Schedule, schedule_id).pipeline = "tests.of_tomorrow"

    assert firing.tick(MARCH + timedelta(hours=1)) is None
    assert fires(None) == []


def test_a_closed_account_starts_nothing() -> None:
    schedule(MARCH, every_s=60)
    with transaction() as session:
        session.get_one(User, OWNER).active = False

    live(MARCH, MARCH + timedelta(minutes=1), timedelta(seconds=20))

    assert (len(fires("skipped")), jobs()) == (1, 0)


def test_a_fault_of_one_schedule_does_not_keep_others_from_firing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = schedule(MARCH, every_s=30)
    schedule(MARCH, every_s=60)
    with transaction() as session:
        session.get_one(Schedule, broken).time_zone = "Mars/Olympus"
        session.get_one(Schedule, broken).cron = "* * * * *"
        session.get_one(Schedule, broken).every_s = None

    firing.tick(MARCH + timedelta(seconds=60))

    assert fires() == [MARCH + timedelta(seconds=60)]
    assert "could not fire" in caplog.text


def test_ticks_at_the_same_time_fire_once() -> None:
    for _ in range(5):
        schedule(MARCH, every_s=10, catch_up="all", overlap="allow")
    at = MARCH + timedelta(seconds=50)
    beats = [threading.Thread(target=firing.tick, args=[at]) for _ in range(4)]

    for beat in beats:
        beat.start()
    for beat in beats:
        beat.join()

    assert len(fires()) == jobs() == 25


@pytest.mark.parametrize("since", [MARCH, OCTOBER])
def test_three_beats_that_die_over_a_change_of_clocks_miss_nothing_and_do_nothing_twice(
    since: datetime,
) -> None:
    berlin: dict[str, Any] = {"time_zone": "Europe/Berlin", "overlap": "allow", "catch_up": "all"}
    for line in ("30 2 * * *", "*/20 1-3 * * *", "15 * * * *"):
        schedule(since, cron=line, **berlin)
    moments = [since + timedelta(minutes=20 * number) for number in range(3 * 48)]
    chance = random.Random(20260329)

    def beat(at: datetime) -> None:
        with suppress(DBAPIError):  # its connection has died, as with kill -9; it starts again
            firing.tick(at)

    with ThreadPoolExecutor(3) as beats:
        for at in moments:
            ticking = [beats.submit(beat, at) for _ in range(3)]
            if chance.random() < 0.3:
                kill_connections()
            for one in ticking:
                one.result()
    firing.tick(moments[-1])

    with transaction() as session:
        for row in session.exec(select(Schedule)):
            expected = [
                *takewhile(lambda at: at <= moments[-1], keeping.cadence_of(row).after(since))
            ]
            assert expected
            done = select(ScheduleFire.scheduled_for).where(ScheduleFire.schedule_id == row.id)
            assert sorted(session.exec(done)) == expected
    assert set(fires()) == set(fires(None))
    assert jobs() == len(fires())


def kill_connections() -> None:
    with connection() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND xact_start IS NOT NULL"
            )
        )
