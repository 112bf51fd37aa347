"""A plan in the calendar: its weeks and tasks as rows."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import uuid5

from sqlalchemy import delete
from sqlmodel import Session, col, select

from models.goals.calendar import TASK_MINUTES, first_day, slots, span
from models.goals.goals import today_in
from models.goals.plans import Week, read_back
from models.goals.tables import Goal, GoalStatus, Milestone, Task, TaskStatus


def live_weeks(goal: Goal) -> list[Week]:
    """Return the weeks of the live plan."""
    return [read_back(one) for one in (goal.plan_json or {"milestones": []})["milestones"]]


def lay_out(session: Session, goal: Goal, weeks: Sequence[int] | None = None) -> None:
    """Put the live plan, or these weeks of it, into the calendar of an active goal.

    Done tasks of those weeks stay. Weeks that would have begun already begin next Monday. Safe to
    repeat.
    """
    if goal.status != GoalStatus.ACTIVE or goal.plan_json is None or goal.activated_at is None:
        return
    planned = [one for one in live_weeks(goal) if weeks is None or one.week in weeks]
    sources = {one["id"]: one for one in goal.plan_json["sources"]}
    begin = _begin(goal, min((one.week for one in planned), default=1))
    for week in planned:
        _place(session, goal, week, begin, sources)


def _begin(goal: Goal, first_week: int) -> date:
    """Return the first day of week 1, moved so that week `first_week` is not over already."""
    assert goal.activated_at is not None
    weeks, target = goal.target_weeks, goal.target_date
    activated = goal.activated_at.date()
    begin = first_day(activated, weeks=weeks, target=target)
    ahead = timedelta(days=7 * (first_week - 1))
    earliest = first_day(today_in(goal.time_zone), weeks=weeks - first_week + 1, target=target)
    return begin if begin + ahead >= earliest or first_week == 1 else earliest - ahead


def _place(
    session: Session, goal: Goal, week: Week, begin: date, sources: dict[int, dict[str, Any]]
) -> None:
    days = span(begin, week.week, goal.target_date)
    milestone = Milestone(
        id=uuid5(goal.id, f"week {week.week}"),
        goal_id=goal.id,
        owner_id=goal.owner_id,
        version=goal.plan_version,
        week=week.week,
        title=week.title,
        starts_on=days.first,
        ends_on=days.last,
    )
    milestone = session.merge(milestone)
    session.flush()
    session.execute(
        delete(Task).where(
            col(Task.milestone_id) == milestone.id, col(Task.status) != TaskStatus.DONE
        )
    )
    times = slots(days, len(week.tasks), goal.time_zone)
    for order, (task, (start, end)) in enumerate(zip(week.tasks, times, strict=True), start=1):
        session.add(
            Task(
                owner_id=goal.owner_id,
                goal_id=goal.id,
                milestone_id=milestone.id,
                order=order,
                title=task.title,
                scheduled_at=start,
                scheduled_end=end,
                time_zone=goal.time_zone,
                duration_minutes=TASK_MINUTES,
                sources=[sources[one] for one in task.sources if one in sources],
            )
        )


def list_milestones(session: Session, goal: Goal) -> list[Milestone]:
    """Return the weeks of the live plan, in order."""
    query = select(Milestone).where(Milestone.goal_id == goal.id)
    return list(session.exec(query.order_by(col(Milestone.week))))


def list_tasks(session: Session, goal: Goal) -> list[Task]:
    """Return the tasks of a goal, as they come."""
    query = select(Task).where(Task.goal_id == goal.id)
    return list(session.exec(query.order_by(col(Task.scheduled_at), col(Task.order))))
