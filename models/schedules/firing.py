"""What a beat asks at each tick: which schedule is due, and what becomes of its fire.

A schedule is locked while one of its fires is decided and recorded; other beats pass it over. What
is recorded is unique per schedule and time, so a fire happens once however many beats there are.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, literal, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.base import now as present
from models.counters import count
from models.jobs.tables import Job
from models.schedules.keeping import cadence_of
from models.schedules.tables import FireStatus, Overlap, Schedule, ScheduleFire
from models.schedules.times import LATE_S, Choice, choose, due_at

WAITING_AT_MOST = 100  # fires of one schedule that wait for the one before; the next are skipped

LATE = "late"  # why a fire was let go that nobody was there for
FORGOTTEN_AT_ONCE = 10_000  # one statement of about a second


def moment(now: datetime | None) -> ColumnElement[datetime]:
    """Return Postgres' clock, the one that all beats share, or the moment that a test says."""
    return literal(now) if now is not None else func.clock_timestamp()


def lateness_s(conn: Connection) -> float:
    """Return for how many seconds the schedule that is due the longest has been so; 0: none is."""
    late = func.extract("epoch", func.clock_timestamp() - func.min(col(Schedule.due_at)))
    found = conn.execute(select(late).where(col(Schedule.paused_at).is_(None))).scalar_one()
    return max(0.0, float(found or 0))


def take_due(
    session: Session, known: Sequence[str], now: datetime | None
) -> tuple[Schedule, datetime] | None:
    """Lock the schedule that is due the longest, of those nobody else works on; None: none is.

    `known`: the pipelines of this process; the others are left to beats of another version.
    Returns the moment that counts as now, too.
    """
    at = moment(now)
    query = (
        select(Schedule, at)
        .where(
            col(Schedule.paused_at).is_(None),
            col(Schedule.due_at) <= at,
            col(Schedule.pipeline).in_(known),
        )
        .order_by(col(Schedule.due_at))
        .limit(1)
        .with_for_update(skip_locked=True, of=Schedule)
    )
    found = session.execute(query).one_or_none()
    return None if found is None else (found[0], found[1])


def take_unblocked(session: Session, known: Sequence[str]) -> tuple[Schedule, ScheduleFire] | None:
    """Lock a schedule whose oldest waiting fire may start: the job before it has ended."""
    running = select(Job.id).where(Job.id == Schedule.job_id, col(Job.finished_at).is_(None))
    row = session.exec(
        select(Schedule)
        .join(ScheduleFire)
        .where(
            ScheduleFire.status == FireStatus.WAITING,
            col(Schedule.paused_at).is_(None),
            col(Schedule.pipeline).in_(known),
            ~running.exists(),
        )
        .limit(1)
        .with_for_update(skip_locked=True, of=Schedule)
    ).first()
    if row is None:
        return None
    fire = session.exec(
        select(ScheduleFire)
        .where(ScheduleFire.schedule_id == row.id, ScheduleFire.status == FireStatus.WAITING)
        .order_by(col(ScheduleFire.scheduled_for))
        .limit(1)
    ).first()
    return None if fire is None else (row, fire)


def seconds_to_next(session: Session, known: Sequence[str], now: datetime | None) -> float | None:
    """Return how long it is until some schedule is due; None when there is none."""
    wait = func.extract("epoch", func.min(Schedule.due_at) - moment(now))
    found: Any = session.execute(
        select(wait).where(col(Schedule.paused_at).is_(None), col(Schedule.pipeline).in_(known))
    ).scalar_one()
    return None if found is None else float(found)


def decide(row: Schedule, now: datetime) -> Choice:
    """Say which fire of a schedule that is due happens next, by its policy on missed ones."""
    assert row.next_at is not None
    cadence = cadence_of(row)
    due = cadence.newest(row.next_at, now, row.catch_up_limit)
    if due and due_at(cadence, row.id, due[-1], jitter_s=row.jitter_s) > now:
        due.pop()  # only the last one's jitter can reach beyond now
    if not due:  # the rules of its time zone have changed: there is no such time any more
        return Choice(None, missed=False, done_until=now)
    late = now - timedelta(seconds=LATE_S + row.jitter_s)
    return choose(due, first=row.next_at, late=late, catch_up=row.catch_up)


def is_busy(session: Session, row: Schedule) -> bool:
    """Say whether the job of the fire before still runs, or waits."""
    running = select(Job.id).where(Job.id == row.job_id, col(Job.finished_at).is_(None))
    return session.exec(running).first() is not None


def held_back(session: Session, row: Schedule) -> FireStatus | None:
    """Say what becomes of a fire while its schedule is busy; None: it starts a job."""
    if row.overlap == Overlap.ALLOW:
        return None
    waiting = select(func.count()).where(
        ScheduleFire.schedule_id == row.id, ScheduleFire.status == FireStatus.WAITING
    )
    queued = int(session.execute(waiting).scalar_one())
    if not queued and not is_busy(session, row):
        return None
    queues = row.overlap == Overlap.QUEUE and queued < WAITING_AT_MOST
    return FireStatus.WAITING if queues else FireStatus.SKIPPED


def record_fire(
    session: Session,
    row: Schedule,
    at: datetime,
    status: FireStatus,
    *,
    reason: str | None = None,
    manual: bool = False,
) -> ScheduleFire | None:
    """Note a fire. None, and nothing else may follow, if it was noted before."""
    fire = ScheduleFire(
        schedule_id=row.id, scheduled_for=at, status=status, reason=reason, manual=manual
    )
    noted = session.execute(
        insert(ScheduleFire)
        .values(**fire.model_dump())
        .on_conflict_do_nothing(index_elements=["schedule_id", "scheduled_for"])
        .returning(col(ScheduleFire.id))
    ).first()
    if noted is None:
        return None
    count(session, "schedule_fires", label="missed" if reason == LATE else status)
    return session.get_one(ScheduleFire, fire.id)


def note_job(row: Schedule, fire: ScheduleFire, job_id: UUID) -> None:
    """Note the job that a fire has started."""
    fire.status, fire.job_id, fire.fired_at = FireStatus.STARTED, job_id, present()
    row.job_id = job_id


def set_aside(session: Session, schedule_id: UUID, *, for_s: float) -> None:
    """Look at a schedule again later: something unforeseen is wrong with it."""
    later = func.clock_timestamp() + timedelta(seconds=for_s)
    session.execute(update(Schedule).where(col(Schedule.id) == schedule_id).values(due_at=later))


def forget_fires(session: Session, *, before: datetime) -> int:
    """Delete fires that are over and were recorded before a moment; return how many."""
    old = (
        select(ScheduleFire.id)
        .where(ScheduleFire.fired_at < before, ScheduleFire.status != FireStatus.WAITING)
        .limit(FORGOTTEN_AT_ONCE)
    )
    gone: Any = session.execute(delete(ScheduleFire).where(col(ScheduleFire.id).in_(old)))
    return int(gone.rowcount)
