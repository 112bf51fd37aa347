"""The versions of a goal's plan: the live one, what was proposed instead, and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from models.base import now
from models.errors import Conflict, NotFound, Unprocessable
from models.goals.goals import GoalEnded, cancel_tasks, get_goal
from models.goals.layout import lay_out, list_milestones
from models.goals.plans import Change, Source, Week, differences, shown
from models.goals.tables import (
    Decision,
    Goal,
    GoalStatus,
    Milestone,
    PlanSource,
    PlanVersion,
    Task,
    TaskStatus,
    VersionStatus,
)

UNDONE = (TaskStatus.PENDING, TaskStatus.RESCHEDULED)


class NoPlan(Conflict):
    """This goal has no plan yet."""

    code = "no_plan"


class VersionNotFound(NotFound):
    """The goal's plan has no such version."""

    code = "plan_version_not_found"


class VersionDecided(Conflict):
    """This version of the plan is no longer open to decisions."""

    code = "plan_version_decided"


class NotThisWeek(Unprocessable):
    """There is nothing to decide or to plan about this week."""

    code = "not_this_week"


class Planned(BaseModel):
    """A whole plan, with who has made it, and why it is not what it should be."""

    weeks: list[Week]
    sources: list[Source]
    source: PlanSource
    error: dict[str, Any] | None = None


class VersionPublic(BaseModel):
    """A version of a plan, and how it differs from the one that it was forked from."""

    version: int
    forked_from: int | None
    status: VersionStatus
    source: PlanSource
    plan: dict[str, Any]
    diff: list[dict[str, Any]]
    decisions: dict[str, str]
    job_id: UUID | None
    created_at: datetime


def plan_as_json(planned: Planned, version: int) -> dict[str, Any]:
    """Return a plan as `plan_json` holds it."""
    return {
        "version": version,
        "source": planned.source,
        "weeks": len(planned.weeks),
        "milestones": [shown(week) for week in planned.weeks],
        "sources": [one.model_dump() for one in planned.sources],
    }


def get_open_goal(session: Session, goal_id: UUID, *, owner: UUID) -> Goal:
    """Return a goal that may be planned. Raises GoalNotFound, GoalEnded."""
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    if goal.status in (GoalStatus.COMPLETED, GoalStatus.ABANDONED):
        raise GoalEnded(status=goal.status)
    return goal


def finished_weeks(session: Session, goal: Goal) -> set[int]:
    """Return the weeks of the live plan of which nothing is left to do, and something is done."""
    undone = func.count().filter(col(Task.status).in_(UNDONE))
    done = func.count().filter(col(Task.status) == TaskStatus.DONE)
    query = (
        select(Milestone.week)
        .join(Task, col(Task.milestone_id) == Milestone.id)
        .where(Milestone.goal_id == goal.id)
        .group_by(col(Milestone.week))
        .having(undone == 0, done > 0)
    )
    return set(session.exec(query))


def weeks_to_plan(session: Session, goal: Goal, wanted: Sequence[int] | None) -> list[int]:
    """Return the weeks to plan anew: those wanted, else all that are not finished.

    Raises NoPlan, NotThisWeek.
    """
    if goal.plan_json is None:
        raise NoPlan()
    free = set(range(1, goal.target_weeks + 1)) - finished_weeks(session, goal)
    chosen = set(wanted) if wanted is not None else free
    if not chosen or not chosen <= free:
        raise NotThisWeek("These weeks are finished, or not of this plan.", open=sorted(free))
    have = {one["week"] for one in goal.plan_json["milestones"]}
    return sorted(chosen | (set(range(1, goal.target_weeks + 1)) - have))


def keep_plan(
    session: Session, goal: Goal, planned: Planned, *, base: int | None, job: UUID
) -> PlanVersion:
    """Keep a plan under the next number: the first one is live at once, a later one is proposed.

    What was proposed before is superseded by it. The caller holds the goal's lock.
    """
    base = base or goal.plan_version or None  # another planning may have been faster
    goal.last_version += 1
    version, first = goal.last_version, base is None
    row = _new_version(goal, planned, version, base)
    row.job_id = job
    _supersede(session, goal, row.status)
    session.add(row)
    goal.plan_error, goal.updated_at = planned.error, now()
    if first:
        goal.plan_json, goal.plan_version = row.plan, version
        lay_out(session, goal)
    return row


def _new_version(goal: Goal, planned: Planned, version: int, base: int | None) -> PlanVersion:
    plan = plan_as_json(planned, version)
    weeks = [one["week"] for one in plan["milestones"]]
    changes: list[Change] = []
    if base is not None:
        changes = differences(
            (goal.plan_json or {"milestones": []})["milestones"], plan["milestones"]
        )
        weeks = [one.week for one in changes if one.change != "kept"]
    return PlanVersion(
        goal_id=goal.id,
        version=version,
        forked_from=base,
        status=VersionStatus.LIVE if base is None else VersionStatus.PROPOSED,
        source=planned.source,
        plan=plan,
        diff=[one.model_dump() for one in changes],
        decisions={str(week): Decision.OPEN for week in weeks},
    )


def _supersede(session: Session, goal: Goal, status: VersionStatus) -> None:
    query = select(PlanVersion).where(PlanVersion.goal_id == goal.id, PlanVersion.status == status)
    for row in session.exec(query):
        row.status = VersionStatus.SUPERSEDED


def get_version(session: Session, goal: Goal, version: int) -> PlanVersion:
    """Return a version of a goal's plan. Raises VersionNotFound."""
    query = select(PlanVersion).where(
        PlanVersion.goal_id == goal.id, PlanVersion.version == version
    )
    found = session.exec(query).one_or_none()
    if found is None:
        raise VersionNotFound()
    return found


def list_versions(session: Session, goal: Goal) -> list[PlanVersion]:
    """Return the versions of a goal's plan, newest first."""
    query = select(PlanVersion).where(PlanVersion.goal_id == goal.id)
    return list(session.exec(query.order_by(col(PlanVersion.version).desc())))


def decide(
    session: Session,
    goal: Goal,
    version: int,
    decision: Decision,
    weeks: Sequence[int] | None,
) -> PlanVersion:
    """Accept or reject weeks of a plan (default: all that are open); return the version.

    An accepted week of a proposal takes the live one's place at once; a rejected week of the live
    plan has its tasks cancelled. Raises VersionNotFound, VersionDecided, NotThisWeek.
    """
    row = get_version(session, goal, version)
    if row.status not in (VersionStatus.LIVE, VersionStatus.PROPOSED):
        raise VersionDecided(status=row.status)
    chosen = _deciding(row, weeks)
    row.decisions = row.decisions | {str(week): decision for week in chosen}
    if row.status == VersionStatus.PROPOSED:
        _decide_proposal(session, goal, row, decision, chosen)
    elif decision is Decision.REJECTED:
        which = select(Milestone.id).where(
            Milestone.goal_id == goal.id, col(Milestone.week).in_(chosen)
        )
        cancel_tasks(session, col(Task.milestone_id).in_(which))
    _mark(session, goal, chosen, decision, row)
    session.flush()
    return row


def _deciding(row: PlanVersion, weeks: Sequence[int] | None) -> list[int]:
    """Return the weeks to decide about; each is decided once, and planned anew after that."""
    free = {int(k) for k, said in row.decisions.items() if said == Decision.OPEN}
    chosen = free if weeks is None else set(weeks)
    if not chosen or not chosen <= free:
        raise NotThisWeek(open=sorted(free))
    return sorted(chosen)


def _decide_proposal(
    session: Session, goal: Goal, row: PlanVersion, decision: Decision, chosen: list[int]
) -> None:
    if decision is Decision.ACCEPTED:
        _take_over(session, goal, row, chosen)
    if Decision.OPEN in row.decisions.values():
        return
    if Decision.ACCEPTED in row.decisions.values():
        _supersede(session, goal, VersionStatus.LIVE)
        row.status = VersionStatus.LIVE
    else:
        row.status = VersionStatus.REJECTED


def _take_over(session: Session, goal: Goal, row: PlanVersion, chosen: list[int]) -> None:
    """Put these weeks of a proposal into the live plan, with the sources that they cite."""
    assert goal.plan_json is not None
    live = {one["week"]: one for one in goal.plan_json["milestones"]}
    proposed = {one["week"]: one for one in row.plan["milestones"]}
    for week in chosen:
        live.pop(week, None)
        if week in proposed:
            live[week] = proposed[week]
    goal.plan_version, goal.updated_at = row.version, now()
    goal.plan_json = row.plan | {
        "weeks": len(live),
        "milestones": [live[week] for week in sorted(live)],
    }
    gone = [week for week in chosen if week not in proposed]
    session.execute(
        delete(Milestone).where(col(Milestone.goal_id) == goal.id, col(Milestone.week).in_(gone))
    )
    lay_out(session, goal, [week for week in chosen if week in proposed])


def _mark(
    session: Session, goal: Goal, chosen: list[int], decision: Decision, row: PlanVersion
) -> None:
    if row.status == VersionStatus.LIVE or decision is Decision.ACCEPTED:
        for one in list_milestones(session, goal):
            if one.week in chosen:
                one.decision = decision
