"""Starts the jobs of schedules: one fire, one transaction, whoever is there to see that it is due.

Beats need no leader and no memory. A beat that dies in the midst of a fire has not fired: its
transaction ends with its connection, and the next one takes the schedule.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from config.db import transaction
from config.settings import settings
from models.accounts import SYSTEM_USER_ID, is_active, provision_user
from models.base import now as present
from models.errors import Conflict, DomainError
from models.jobs import nodes
from models.schedules import firing
from models.schedules.keeping import aim, ensure_upkeep
from models.schedules.tables import FireStatus, Schedule, ScheduleFire
from tasks.forms import UnknownPipeline
from tasks.pipeline import REGISTRY, Pipeline, get_pipeline, get_startable

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRES_PER_TICK = 200  # then the beat looks at its signals again
SET_ASIDE_S = 60.0
STUCK_S = 10  # a beat that is cut off from the network holds a schedule no longer than that
OVERLAP = "overlap"
INACTIVE = "account_inactive"

_upkeep: dict[str, int] = {}  # pipeline -> seconds


class StillRunning(Conflict):
    """The job of the fire before has not ended, and this schedule lets none run beside it."""

    code = "schedule_still_running"


class NoWorkerKnows(Conflict):
    """No worker that lives knows this pipeline."""

    code = "no_worker_for_pipeline"


def upkeep(pipeline: Pipeline, *, every_s: int) -> None:
    """Have a pipeline without input run for the platform itself, again and again.

    That is where its schedule begins; operators may change or pause it.
    """
    _upkeep[pipeline.name] = every_s


def ensure_all_upkeep() -> None:
    """Keep a schedule for each pipeline of the upkeep. Safe to repeat, and to do at once."""
    with transaction() as session:
        provision_user(session, SYSTEM_USER_ID)
        for name, every_s in _upkeep.items():
            ensure_upkeep(session, name, name, every_s=every_s)


def check_schedulable(
    session: Session, name: str, input: dict[str, Any], *, any_pipeline: bool
) -> dict[str, Any]:
    """Return the input as the pipeline will get it.

    Raises UnknownPipeline (also for one that people may not start, unless `any_pipeline`),
    InvalidInput, NoWorkerKnows.
    """
    pipeline = get_pipeline(name) if any_pipeline else get_startable(name)
    checked = pipeline.parse(input).model_dump(mode="json")
    if problems_of(session, [name])[name] is not None:
        raise NoWorkerKnows(pipeline=name)
    return checked


def problems_of(session: Session, pipelines: Iterable[str]) -> dict[str, str | None]:
    """Say for each pipeline why its jobs cannot run, as an error's code; None if they can.

    While no worker lives at all, nothing is known against any.
    """
    live = nodes.live_nodes(session.connection(), within_s=settings.engine.dead_after_s)

    def problem(name: str) -> str | None:
        if name not in REGISTRY:
            return UnknownPipeline.code
        wanted = REGISTRY[name].fingerprint
        known = not live or any(node.fingerprints.get(name) == wanted for node in live)
        return None if known else NoWorkerKnows.code

    return {name: problem(name) for name in pipelines}


def tick(now: datetime | None = None) -> float | None:
    """Let happen what is due; return the seconds until something is again (None: nothing is).

    `now`: instead of Postgres' clock.
    """
    for _ in range(FIRES_PER_TICK):
        if not (_fire_due(now) or _fire_waiting()):
            break
    with transaction() as session:
        return firing.seconds_to_next(session, list(REGISTRY), now)


def trigger(session: Session, row: Schedule) -> ScheduleFire:
    """Fire now, besides the schedule's own times. Raises StillRunning, and what starting raises."""
    held = firing.held_back(session, row)
    if held is FireStatus.SKIPPED:
        raise StillRunning(job_id=str(row.job_id))
    status = held or FireStatus.STARTED
    fire = firing.record_fire(session, row, present(), status, manual=True)
    assert fire is not None
    if held is None:
        _start(session, row, fire)
    return fire


def _happen(
    take: Callable[[Session], tuple[Schedule, T] | None],
    act: Callable[[Session, Schedule, T, DomainError | None], None],
) -> bool:
    """Take a schedule and let something happen with it; say whether there was one.

    When that fails, all is undone; what `act` gets in a second transaction is why. Others go on.
    """
    taken: UUID | None = None
    refused: DomainError | None = None
    for _ in range(2):
        try:
            with _brief_transaction() as session:
                found = take(session)
                if found is None:
                    return refused is not None
                row, more = found
                refused = refused if row.id == taken else None  # or somebody else was faster
                taken = row.id
                act(session, row, more, refused)
            return True
        except DomainError as error:
            refused = error
        except (OperationalError, InterfaceError):
            raise  # for the beat: Postgres is away
        except Exception:  # whatever is wrong with one schedule
            logger.exception("Schedule %s could not fire", taken)
            refused = DomainError()
    _set_aside(taken)
    return True


def _set_aside(schedule_id: UUID | None) -> None:
    if schedule_id is not None:
        with transaction() as session:
            firing.set_aside(session, schedule_id, for_s=SET_ASIDE_S)


@contextmanager
def _brief_transaction() -> Iterator[Session]:
    """A transaction that ends by itself when this beat is cut off."""
    with transaction() as session:
        session.connection().execute(
            text(f"SET LOCAL idle_in_transaction_session_timeout = '{STUCK_S}s'")
        )
        yield session


def _fire_due(now: datetime | None) -> bool:
    """Let one fire happen, or let missed ones go."""
    return _happen(lambda session: firing.take_due(session, list(REGISTRY), now), _fire)


def _fire(session: Session, row: Schedule, now: datetime, refused: DomainError | None) -> None:
    assert row.next_at is not None
    choice = firing.decide(row, now)
    if choice.missed:
        firing.record_fire(session, row, row.next_at, FireStatus.SKIPPED, reason=firing.LATE)
    if choice.fire is not None:
        status, reason = _outcome(session, row, refused)
        fire = firing.record_fire(session, row, choice.fire, status, reason=reason)
        if fire is not None and status is FireStatus.STARTED:
            _start(session, row, fire)
    aim(row, after=choice.done_until)


def _outcome(
    session: Session, row: Schedule, refused: DomainError | None
) -> tuple[FireStatus, str | None]:
    if refused is not None:
        return FireStatus.FAILED, refused.code
    if not is_active(session.connection(), row.owner_id):
        return FireStatus.SKIPPED, INACTIVE
    held = firing.held_back(session, row)
    return held or FireStatus.STARTED, OVERLAP if held else None


def _fire_waiting() -> bool:
    """Start the job of a fire that has waited for the one before."""
    return _happen(lambda session: firing.take_unblocked(session, list(REGISTRY)), _release)


def _release(
    session: Session, row: Schedule, fire: ScheduleFire, refused: DomainError | None
) -> None:
    if refused is not None:
        fire.status, fire.reason = FireStatus.FAILED, refused.code
    else:
        _start(session, row, fire)


def _start(session: Session, row: Schedule, fire: ScheduleFire) -> None:
    pipeline = get_pipeline(row.pipeline)
    job = pipeline.start(
        session, pipeline.parse(row.input), owner=row.owner_id, priority=row.priority
    )
    firing.note_job(row, fire, job.id)
