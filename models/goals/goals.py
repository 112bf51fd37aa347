"""Goals, and how many of them somebody works on at once."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, StringConstraints
from pydantic import Field as Bounded
from sqlalchemy import Uuid, bindparam, update
from sqlmodel import Session, col, select

from models.base import now, one_statement
from models.errors import Conflict, NotFound, Unprocessable
from models.goals.calendar import weeks_until
from models.goals.tables import (
    DEFAULT_WEEKS,
    DEFAULT_ZONE,
    MAX_WEEKS,
    Goal,
    GoalStatus,
    Task,
    TaskStatus,
)  # fmt: skip
from models.goals.weeks import weeks_wanted
from models.jobs.tables import TERMINAL, Job
from models.zones import check_zone

MAX_ACTIVE = 3  # goals.md: more at once come to nothing

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00]+$"),
]
Prose = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00]*$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[^\x00]+$")]
Tags = Annotated[list[Tag], Bounded(max_length=20)]
UserRef = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Weeks = Annotated[int, Bounded(ge=1, le=MAX_WEEKS)]


class GoalNotFound(NotFound):
    """There is no such goal."""

    code = "goal_not_found"


class GoalEnded(Conflict):
    """This goal has ended."""

    code = "goal_ended"


class PastTarget(Unprocessable):
    """The target date has passed."""

    code = "target_date_passed"


class GoalCreate(BaseModel):
    """A goal as somebody says it. How many weeks it takes is read from its words, unless said."""

    title: Title
    description: Prose = ""
    user_id: UserRef
    class_tags: Tags = []
    parent_goal_id: UUID | None = None
    target_weeks: Weeks | None = None
    target_date: date | None = None
    time_zone: Annotated[str, StringConstraints(max_length=64)] = DEFAULT_ZONE


class GoalUpdate(BaseModel):
    """What may be changed of a goal; its plan stays until it is planned again."""

    title: Title | None = None
    description: Prose | None = None
    class_tags: Tags | None = None
    target_weeks: Weeks | None = None
    target_date: date | None = None
    time_zone: Annotated[str, StringConstraints(max_length=64)] | None = None


class GoalCreated(BaseModel):
    """A new goal, as its document shows it."""

    id: UUID
    user_id: str
    title: str
    status: GoalStatus
    created_at: datetime


class GoalPublic(GoalCreated):
    """A goal with its plan, once there is one."""

    description: str
    class_tags: list[str]
    parent_goal_id: UUID | None
    pipeline_order: int | None
    activated_at: datetime | None
    completed_at: datetime | None
    target_weeks: int
    target_date: date | None
    time_zone: str
    plan_json: dict[str, Any] | None
    plan_error: dict[str, Any] | None
    plan_version: int
    job_id: UUID | None
    progress: float  # of the planning, 0..1


def new_goal(session: Session, given: GoalCreate, *, owner: UUID) -> Goal:
    """Return a goal that is not stored yet, active unless there are enough of those.

    The caller's transaction then holds the owner's lock, so that nobody has four. Raises
    WeeksOutOfRange, PastTarget, UnknownTimeZone, GoalNotFound (of the parent).
    """
    check_zone(given.time_zone)
    if given.parent_goal_id is not None:
        get_goal(session, given.parent_goal_id, owner=owner)
    waiting = _waiting(session, owner)
    told = given.model_dump(exclude={"user_id", "target_weeks"})
    goal = Goal(**told, owner_id=owner, user_ref=given.user_id)
    goal.target_weeks = _weeks(goal, given.target_weeks)
    if waiting is None:
        goal.activated_at = goal.created_at
    else:
        goal.status, goal.pipeline_order = GoalStatus.PIPELINE, waiting + 1
    return goal


def _weeks(goal: Goal, said: int | None, *, default: int | None = None) -> int:
    """Return how many weeks a goal gets: never more than there are until its target date."""
    left = MAX_WEEKS
    if goal.target_date is not None:
        today = today_in(goal.time_zone)
        if goal.target_date <= today:
            raise PastTarget(target_date=str(goal.target_date))
        left = min(weeks_until(goal.target_date, today), MAX_WEEKS)
        default = default or left
    wanted = weeks_wanted(goal.title, goal.description, said=said, default=default or DEFAULT_WEEKS)
    return min(left, wanted)


def today_in(zone: str) -> date:
    """Return the present day by the clock of a time zone."""
    return now().astimezone(ZoneInfo(zone)).date()


_owner = bindparam("owner", type_=Uuid())
_lock_owner = one_statement(
    'SELECT id FROM "user" WHERE id = :owner FOR NO KEY UPDATE',  # lets others refer to the row
    _owner,
)
_count_goals = one_statement(
    """
    SELECT count(*) FILTER (WHERE status = 'active'),
           max(pipeline_order) FILTER (WHERE status = 'pipeline')
    FROM goal WHERE owner_id = :owner
    """,
    _owner,
)


def _waiting(session: Session, owner: UUID) -> int | None:
    """Lock somebody's goals; return the last place of their queue, None while one more may be
    active."""
    conn = session.connection()
    conn.execute(_lock_owner, {"owner": owner})
    active, last = conn.execute(_count_goals, {"owner": owner}).one()
    return None if active < MAX_ACTIVE else last or 0


def get_goal(session: Session, goal_id: UUID, *, owner: UUID, lock: bool = False) -> Goal:
    """Return the owner's goal. Raises GoalNotFound, also for somebody else's."""
    goal = session.get(Goal, goal_id, with_for_update=lock or None)  # False asks again
    if goal is None or goal.owner_id != owner:
        raise GoalNotFound()
    return goal


def owner_of_goal(session: Session, goal_id: UUID) -> UUID:
    """Return whose goal this is. Raises GoalNotFound."""
    goal = session.get(Goal, goal_id)
    if goal is None:
        raise GoalNotFound()
    return goal.owner_id


def list_goals(session: Session, *, owner: UUID, status: GoalStatus | None = None) -> list[Goal]:
    """Return the owner's goals, newest first."""
    query = select(Goal).where(Goal.owner_id == owner).order_by(col(Goal.id).desc())
    return list(session.exec(query if status is None else query.where(Goal.status == status)))


def change_goal(session: Session, goal_id: UUID, given: GoalUpdate, *, owner: UUID) -> Goal:
    """Change what somebody says of their goal. Raises as `new_goal` does, and GoalEnded."""
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    _not_ended(goal)
    changes = given.model_dump(exclude_unset=True)
    cleared = {"target_date"}  # the rest has to be something
    goal.sqlmodel_update(
        {name: one for name, one in changes.items() if one is not None or name in cleared}
    )
    check_zone(goal.time_zone)
    if changes.keys() & {"target_weeks", "target_date", "description", "title"}:
        goal.target_weeks = _weeks(goal, given.target_weeks, default=goal.target_weeks)
    goal.updated_at = now()
    return goal


def _not_ended(goal: Goal) -> None:
    if goal.status in (GoalStatus.COMPLETED, GoalStatus.ABANDONED):
        raise GoalEnded(status=goal.status)


def end_goal(
    session: Session,
    goal_id: UUID,
    status: Literal[GoalStatus.COMPLETED, GoalStatus.ABANDONED],
    *,
    owner: UUID,
) -> tuple[Goal, Goal | None]:
    """End a goal; return it, and the waiting one that becomes active instead.

    What is left to do of it is cancelled. Safe to repeat. Raises GoalNotFound, GoalEnded.
    """
    _waiting(session, owner)
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    if goal.status == status:
        return goal, None
    _not_ended(goal)
    goal.status, goal.pipeline_order = status, None
    goal.updated_at = now()
    if status is GoalStatus.COMPLETED:
        goal.completed_at = goal.updated_at
    cancel_tasks(session, col(Task.goal_id) == goal.id)
    session.flush()
    return goal, _promote(session, owner)


def cancel_tasks(session: Session, which: Any) -> None:
    """Cancel those of the tasks that are still to be done."""
    still_open = col(Task.status).in_((TaskStatus.PENDING, TaskStatus.RESCHEDULED))
    session.execute(
        update(Task).where(which, still_open).values(status=TaskStatus.CANCELLED, updated_at=now())
    )


def _promote(session: Session, owner: UUID) -> Goal | None:
    """Make the goal that has waited longest active, if there is room; the caller has the lock."""
    if _waiting(session, owner) is not None:
        return None
    query = select(Goal).where(Goal.owner_id == owner, Goal.status == GoalStatus.PIPELINE)
    goal = session.exec(query.order_by(col(Goal.pipeline_order)).limit(1)).one_or_none()
    if goal is not None:
        goal.status, goal.pipeline_order = GoalStatus.ACTIVE, None
        goal.activated_at = goal.updated_at = now()
        session.flush()
    return goal


def describe_goals(session: Session, goals: Sequence[Goal]) -> list[GoalPublic]:
    """Return goals as their owner sees them, with what has become of their planning."""
    wanted = [goal.job_id for goal in goals if goal.job_id]
    query = select(Job).where(col(Job.id).in_(wanted))
    jobs = {job.id: job for job in session.exec(query)} if wanted else {}
    return [_describe(goal, jobs.get(goal.job_id) if goal.job_id else None) for goal in goals]


def describe_goal(session: Session, goal: Goal) -> GoalPublic:
    """Return a goal as its owner sees it."""
    return describe_goals(session, [goal])[0]


def _describe(goal: Goal, job: Job | None) -> GoalPublic:
    told = goal.model_dump(warnings=False) | {"user_id": goal.user_ref}
    told["progress"] = job.progress if job and job.status not in TERMINAL else 1.0
    told["plan_error"] = goal.plan_error or planning_error(job)
    return GoalPublic(**told)


def planning_error(job: Job | None) -> dict[str, Any] | None:
    """Return why a planning gave no plan; None while it runs, and when it did."""
    if job is None or job.status not in ("failed", "cancelled"):
        return None
    stopped = {"code": "planning_cancelled", "message": "The planning was cancelled."}
    return job.error or stopped
