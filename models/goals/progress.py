"""How far a goal's plan is, as one says it aloud."""

from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from models.goals.tables import Goal, Milestone, Task, TaskStatus
from models.jobs.tables import TERMINAL, Job


def say_progress(session: Session, goal: Goal) -> str:
    """Return how far the planning is, and then how far the person is."""
    job = session.get(Job, goal.job_id) if goal.job_id else None
    if job is not None and job.status not in TERMINAL:
        return f"Your plan for “{goal.title}” is {round(job.progress * 100)} percent ready."
    weeks = _weeks(session, goal.id)
    if weeks:
        begin = f"Your plan for “{goal.title}” is ready: {_counted(len(weeks), 'week')}"
        return f"{begin}, the first one is “{weeks[0]}”. {_done(session, goal.id)}".rstrip()
    return f"I could not make a plan for “{goal.title}”. You can ask me to try again."


def _weeks(session: Session, goal: UUID) -> list[str]:
    query = select(Milestone.title).where(Milestone.goal_id == goal).order_by(col(Milestone.week))
    return list(session.exec(query))


def _done(session: Session, goal: UUID) -> str:
    done = func.count().filter(col(Task.status) == TaskStatus.DONE)
    query = select(func.count(), done).where(Task.goal_id == goal)
    total, finished = session.exec(query).one()
    return f"You have done {finished} of {_counted(total, 'task')}." if finished else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
