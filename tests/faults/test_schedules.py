"""Three beats that are killed again and again: every fire happens, and happens once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import col, select

from config.db import engine, transaction
from config.local import EmbeddedPostgres
from models.base import now
from models.jobs.tables import Job
from models.schedules import keeping
from models.schedules.tables import ScheduleCreate, ScheduleFire
from tests.pipelines import OWNER
from tests.stack import ROOT, fresh_database, kill_family, prepare_owner, wait_for

pytestmark = pytest.mark.timeout(180)
LASTS_S = 15


class Beats:
    """Processes of `celery beat`, restarted as a supervisor would."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.logs: dict[int, Path] = {}
        self.kills = 0
        self.running = [self.start() for _ in range(count)]

    def start(self) -> subprocess.Popen[bytes]:
        command = "celery -A tests.worker beat -S tasks.schedules:PostgresScheduler --pidfile="
        path = self.folder / f"{len(self.logs)}.log"
        with path.open("wb") as log:
            beat = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.logs[beat.pid] = path
        return beat

    def working(self) -> list[int]:
        """The places of those that tick."""
        told = [self.logs[beat.pid].read_text() for beat in self.running]
        return [place for place, text in enumerate(told) if "beat: Starting" in text]

    def kill_one(self) -> None:
        """Kill a beat that works, if another one does, too."""
        ready = self.working()
        if len(ready) > 1:
            place = random.choice(ready)
            kill_family(self.running[place])
            self.running[place] = self.start()
            self.kills += 1

    def stop(self) -> list[int]:
        wait_for(lambda: len(self.working()) == len(self.running), 30)
        for beat in self.running:
            beat.send_signal(signal.SIGTERM)
        return [beat.wait(15) for beat in self.running]


@pytest.fixture
def beats(_postgres_server: None, _valkey_server: None, tmp_path: Path) -> Iterator[Beats]:
    fresh_database()
    prepare_owner()
    started = Beats(tmp_path, 3)
    yield started
    for beat in started.running:
        kill_family(beat)
    engine().dispose()


def every_second() -> UUID:
    new = ScheduleCreate(
        name="Often", pipeline="tests.fan", every_s=1, catch_up="all", overlap="allow"
    )
    with transaction() as session:
        return keeping.keep_schedule(session, new, input={"count": 1}, owner=OWNER).id


def fires() -> list[tuple[datetime, datetime, UUID | None]]:
    query = select(ScheduleFire).order_by(col(ScheduleFire.scheduled_for))
    with transaction() as session:
        return [(one.scheduled_for, one.fired_at, one.job_id) for one in session.exec(query)]


def jobs() -> int:
    with transaction() as session:
        mine = select(Job.id).where(Job.pipeline == "tests.fan")
        return len(session.exec(mine).all())


def assert_none_missed_none_double(at_least: int) -> list[float]:
    """Return by how many seconds the fires were late, sorted."""
    found = fires()
    times = [at for at, _, _ in found]
    assert len(times) >= at_least
    assert {later - one for one, later in pairwise(times)} == {timedelta(seconds=1)}
    assert all(job for _, _, job in found)
    assert len({job for _, _, job in found}) == len(times) == jobs()
    return sorted((fired - at).total_seconds() for at, fired, _ in found)


def test_beats_under_kill_9_miss_nothing_and_do_nothing_twice(beats: Beats, tmp_path: Path) -> None:
    wait_for(lambda: len(beats.working()) == 3, 60)
    every_second()
    wait_for(lambda: len(fires()) >= 2, 60)
    until = time.monotonic() + LASTS_S

    while time.monotonic() < until:
        time.sleep(random.uniform(0.1, 0.5))
        beats.kill_one()
    wait_for(lambda: now() - fires()[-1][0] < timedelta(seconds=2), 30)
    codes = beats.stop()

    late = assert_none_missed_none_double(at_least=LASTS_S)
    settled = late[: len(late) * 95 // 100]
    print(
        f"\n{len(late)} fires, {beats.kills} kills: late p50 {late[len(late) // 2]:.3f} s,", end=" "
    )
    print(f"p95 {settled[-1]:.3f} s, at most {late[-1]:.3f} s")
    assert codes == [0, 0, 0]
    assert {path.suffix for path in tmp_path.iterdir()} == {".log"}, "beats keep no file"


def test_beats_wait_for_a_postgres_that_is_away(beats: Beats, postgres: EmbeddedPostgres) -> None:
    every_second()
    wait_for(lambda: len(fires()) >= 2, 60)

    postgres.kill()
    time.sleep(4)
    pids = [beat.pid for beat in beats.running]
    postgres.start()

    before = now()
    wait_for(lambda: fires()[-1][0] > before + timedelta(seconds=2), 60)
    assert [beat.poll() for beat in beats.running] == [None] * 3, pids
    beats.stop()
    assert_none_missed_none_double(at_least=6)
