"""Goals: made, listed, changed and ended."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlmodel import Session

from api.deps import CHAT, SessionDep, WaitingOwner
from api.dialects import speaking
from api.goals.asker import GoalOwner, ListingOwner
from api.once import OnceDep
from config.db import transaction
from models.goals.goals import (
    GoalCreate,
    GoalCreated,
    GoalPublic,
    GoalUpdate,
    change_goal,
    describe_goal,
    describe_goals,
    end_goal,
    get_goal,
    list_goals,
    new_goal,
)  # fmt: skip
from models.goals.layout import lay_out
from models.goals.tables import Goal, GoalStatus
from models.jobs import lifecycle
from models.jobs.tables import Job
from pipelines import tell_after_commit
from pipelines.goals.plan import begin

router = APIRouter(prefix="/goals", tags=["goals"], **speaking("goals"))


@router.post("", status_code=201, dependencies=[CHAT])
def create_goal(
    body: GoalCreate, owner: WaitingOwner, response: Response, once: OnceDep
) -> GoalCreated:
    """Set a goal. Its plan comes by itself: `plan_json` of the goal, or its stream meanwhile."""
    said = body.model_dump(mode="json", exclude={"user_id"}, exclude_unset=True)
    made: list[Goal] = []

    def start() -> Job:
        made.append(new_goal(session, body, owner=owner))
        return begin(session, made[0])

    with transaction() as session:
        job = once.start(session, start, owner=owner, said=said)
        goal = made[0] if made else get_goal(session, UUID(job.input["goal_id"]), owner=owner)
    response.headers.update({"Location": f"/goals/{goal.id}", "X-Job-Id": str(job.id)})
    return GoalCreated(**goal.model_dump(warnings=False), user_id=goal.user_ref)


@router.get("")
def read_goals(
    session: SessionDep,
    owner: ListingOwner,
    status: Annotated[GoalStatus | None, Query(description="Only these.")] = None,
) -> list[GoalPublic]:
    """Somebody's goals, newest first."""
    return describe_goals(session, list_goals(session, owner=owner, status=status))


@router.get("/{goal_id}")
def read_goal(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> GoalPublic:
    """A goal with its plan; `plan_json` is null until there is one, `plan_error` says why not."""
    return describe_goal(session, get_goal(session, goal_id, owner=owner))


@router.patch("/{goal_id}")
def update_goal(
    goal_id: UUID, body: GoalUpdate, session: SessionDep, owner: GoalOwner
) -> GoalPublic:
    """Change a goal. Its plan stays until you plan again."""
    return describe_goal(session, change_goal(session, goal_id, body, owner=owner))


@router.post("/{goal_id}/complete")
def complete_goal(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> GoalPublic:
    """Say that a goal is reached; the one that has waited longest becomes active."""
    goal, next_ = end_goal(session, goal_id, GoalStatus.COMPLETED, owner=owner)
    return _ended(session, goal, next_)


@router.post("/{goal_id}/abandon")
def abandon_goal(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> GoalPublic:
    """Give a goal up; the one that has waited longest becomes active."""
    goal, next_ = end_goal(session, goal_id, GoalStatus.ABANDONED, owner=owner)
    return _ended(session, goal, next_)


def _ended(session: Session, goal: Goal, next_: Goal | None) -> GoalPublic:
    """Stop the planning of what has ended, and put what is active now into the calendar."""
    if goal.job_id is not None:
        lifecycle.request_cancel(session.connection(), goal.job_id)
        tell_after_commit(session, goal.job_id, [])
    if next_ is not None:
        lay_out(session, next_)
    return describe_goal(session, goal)
