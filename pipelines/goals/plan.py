"""Plan a goal: week by week, grounded, checked, saved as a version of its plan."""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.errors import Conflict
from models.goals.corpus import live_corpus
from models.goals.goals import get_goal
from models.goals.layout import live_weeks
from models.goals.plans import Source
from models.goals.tables import Goal
from models.goals.versions import Planned, get_open_goal, keep_plan, weeks_to_plan
from models.jobs.tables import TERMINAL, Job
from pipelines.goals.drafting import Brief, check, draft, repair, retrieve
from tasks.pipeline import Pipeline
from tasks.tools import JobRef


class PlanGoal(BaseModel):
    """The goal to plan. With `weeks`, or when it has a plan: to plan anew."""

    goal_id: UUID
    weeks: list[int] | None = None
    wishes: str = ""


class Saved(BaseModel):
    """Which version of the plan was kept, and who has made it."""

    goal_id: UUID
    version: int
    source: str


class AlreadyPlanning(Conflict):
    """This goal is being planned."""

    code = "already_planning"


def understand(request: PlanGoal, job: JobRef, session: Session) -> Brief:
    """Say what is to be planned. Raises GoalNotFound, GoalEnded."""
    goal = get_open_goal(session, request.goal_id, owner=job.owner_id)
    return brief_of(session, goal, request)


def brief_of(session: Session, goal: Goal, request: PlanGoal) -> Brief:
    """Return what is to be planned of a goal: all of it, or what is not finished.

    Raises NotThisWeek.
    """
    known = goal.plan_json or {"sources": []}
    weeks = list(range(1, goal.target_weeks + 1))
    if goal.plan_json is not None:
        weeks = weeks_to_plan(session, goal, request.weeks)
    kept = [w for w in live_weeks(goal) if w.week not in weeks and w.week <= goal.target_weeks]
    return Brief(
        goal_id=goal.id,
        base=goal.plan_version or None,
        title=goal.title,
        description=goal.description,
        wishes=request.wishes,
        total=goal.target_weeks,
        weeks=weeks,
        kept=kept,
        sources=[Source.model_validate(one) for one in known["sources"]],
        target_date=goal.target_date,
        corpus=live_corpus(session),
    )


def save(brief: Brief, planned: Planned, job: JobRef, session: Session) -> Saved:
    """Keep the plan, with milestones and tasks if it is the first one, all at once or not at all.

    Raises GoalNotFound.
    """
    assert brief.goal_id is not None
    goal = get_goal(session, brief.goal_id, owner=job.owner_id, lock=True)
    kept = keep_plan(session, goal, planned, base=brief.base, job=job.id)
    return Saved(goal_id=goal.id, version=kept.version, source=planned.source)


plan = Pipeline(
    "goals.plan",
    understand,
    retrieve,
    draft,
    check,
    repair,
    save,
    input=PlanGoal,
)


def begin(session: Session, goal: Goal) -> Job:
    """Start planning a new goal, and store both."""
    job = plan.start(session, PlanGoal(goal_id=goal.id), owner=goal.owner_id)
    goal.job_id = job.id
    session.add(goal)
    return job


def plan_again(
    session: Session, goal_id: UUID, *, owner: UUID, weeks: list[int] | None, wishes: str
) -> Job:
    """Plan a goal anew: its finished weeks stay, and the result is a proposal.

    The job is a fork of the one before, at the drafting: what was found for the goal is not looked
    for again. Raises GoalNotFound, GoalEnded, AlreadyPlanning, NotThisWeek.
    """
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    last = session.get(Job, goal.job_id) if goal.job_id else None
    if last is not None and last.status not in TERMINAL:
        raise AlreadyPlanning(job_id=str(last.id))
    request = PlanGoal(goal_id=goal.id, weeks=weeks, wishes=wishes)
    if goal.plan_json is None or last is None or not _may_fork(last):
        brief_of(session, goal, request)  # refuses now what the job would refuse
        job = plan.start(session, request, owner=owner)
    else:
        brief = brief_of(session, get_open_goal(session, goal.id, owner=owner), request)
        told = {"understand": brief.model_dump(mode="json")}
        edits = {"input": request.model_dump(mode="json"), "outputs": told}
        job = plan.fork(session, last, step=draft.__name__, edits=edits)
    goal.job_id, goal.plan_error = job.id, None
    return job


def _may_fork(last: Job) -> bool:
    return last.fingerprint == plan.fingerprint and last.status == "succeeded"
