"""Plans: watched while they form, planned anew, accepted or rejected week by week."""

from datetime import date
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from api.deps import SessionDep
from api.dialects import GOALS, speaking
from api.goals.asker import PLANNING, GoalOwner, WaitingGoalOwner
from api.once import OnceDep
from api.sse import STREAMS, CursorDep, follow
from config.db import transaction
from models.goals.goals import Prose, Weeks, get_goal
from models.goals.layout import list_milestones, list_tasks
from models.goals.tables import Decision, Trigger
from models.goals.todo import TaskTold
from models.goals.versions import (
    NoPlan,
    VersionPublic,
    decide,
    get_version,
    list_versions,
)  # fmt: skip
from pipelines.goals.plan import plan_again

router = APIRouter(prefix="/goals/{goal_id}", tags=["goals"], **speaking("goals"))

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class PlanAgain(BaseModel):
    """What to plan anew (default: all that is not finished), and what should be different."""

    weeks: Annotated[list[Weeks], Field(min_length=1, max_length=52)] | None = None
    wishes: Prose = ""


class PlanningStarted(BaseModel):
    """The job that plans."""

    goal_id: UUID
    job_id: UUID
    forked_from: UUID | None


class WeeksDecided(BaseModel):
    """Which weeks are meant; default: all that are open."""

    weeks: Annotated[list[Weeks], Field(min_length=1, max_length=52)] | None = None


class TaskShown(TaskTold):
    """A task of a plan."""

    order: int
    trigger: Trigger


class MilestoneShown(BaseModel):
    """A week of the live plan with its tasks."""

    id: UUID
    week: int
    version: int
    title: str
    starts_on: date
    ends_on: date
    decision: Decision
    tasks: list[TaskShown]


def _stream_of(goal_id: UUID, owner: UUID) -> UUID:
    with transaction() as session:
        goal = get_goal(session, goal_id, owner=owner)
        if goal.job_id is None:
            raise NoPlan()
        return goal.job_id


@router.get("/plan/stream", **STREAMS)
async def watch_plan(goal_id: UUID, cursor: CursorDep, owner: WaitingGoalOwner) -> Response:
    """Watch the plan forming: `event: week` for each week that is written, then `done`."""
    job_id = await run_in_threadpool(_stream_of, goal_id, owner)
    return await follow(job_id, cursor, GOALS, owner=owner)


@router.get("/milestones")
def read_milestones(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> list[MilestoneShown]:
    """The weeks of the live plan, with their tasks and dates."""
    goal = get_goal(session, goal_id, owner=owner)
    tasks = list_tasks(session, goal)
    return [
        MilestoneShown(
            **row.model_dump(warnings=False),
            tasks=[
                TaskShown(**one.model_dump(warnings=False))
                for one in tasks
                if one.milestone_id == row.id
            ],
        )
        for row in list_milestones(session, goal)
    ]


@router.post("/replan", status_code=202, dependencies=[PLANNING])
def replan_goal(
    goal_id: UUID,
    body: PlanAgain,
    session: SessionDep,
    owner: GoalOwner,
    response: Response,
    once: OnceDep,
) -> PlanningStarted:
    """Plan anew. Finished weeks stay; what comes of it is a proposal, to accept or reject."""
    said = body.model_dump()
    job = once.start(
        session, partial(plan_again, session, goal_id, owner=owner, **said), owner=owner, said=said
    )
    response.headers["Location"] = f"/jobs/{job.id}"
    return PlanningStarted(goal_id=goal_id, job_id=job.id, forked_from=job.forked_from)


@router.get("/plan/versions")
def read_versions(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> list[VersionPublic]:
    """Every version of the plan, newest first."""
    rows = list_versions(session, get_goal(session, goal_id, owner=owner))
    return [VersionPublic.model_validate(row, from_attributes=True) for row in rows]


@router.get("/plan/versions/{version}")
def read_version(
    goal_id: UUID, version: Version, session: SessionDep, owner: GoalOwner
) -> VersionPublic:
    """A version of the plan, and how it differs from the one that it was forked from."""
    row = get_version(session, get_goal(session, goal_id, owner=owner), version)
    return VersionPublic.model_validate(row, from_attributes=True)


@router.post("/plan/versions/{version}/accept")
def accept_weeks(
    goal_id: UUID, version: Version, body: WeeksDecided, session: SessionDep, owner: GoalOwner
) -> VersionPublic:
    """Accept weeks of a plan. Those of a proposal take the place of the live ones."""
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    row = decide(session, goal, version, Decision.ACCEPTED, body.weeks)
    return VersionPublic.model_validate(row, from_attributes=True)


@router.post("/plan/versions/{version}/reject")
def reject_weeks(
    goal_id: UUID, version: Version, body: WeeksDecided, session: SessionDep, owner: GoalOwner
) -> VersionPublic:
    """Reject weeks of a plan. Those of the live plan have their tasks cancelled; plan them anew."""
    goal = get_goal(session, goal_id, owner=owner, lock=True)
    row = decide(session, goal, version, Decision.REJECTED, body.weeks)
    return VersionPublic.model_validate(row, from_attributes=True)
