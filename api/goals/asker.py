"""Whose goals a request is about."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from sqlmodel import Session

from api import limits
from api.deps import (
    Claims,
    ClaimsDep,
    SessionDep,
    asker_named,
    asks_as_nobody,
    identify,
    limited,
    owner_in_passing,
)  # fmt: skip
from config.db import transaction
from models.goals.goals import UserRef, owner_of_goal
from models.goals.todo import owner_of_task


def _listing_owner(
    request: Request,
    session: SessionDep,
    user_id: Annotated[UserRef | None, Query(description="Whose goals; default: yours.")] = None,
) -> UUID:
    """Return whose goals are listed: the document names them in the query."""
    return asker_named(session, request, user_id)


def goal_owner(goal_id: UUID, session: SessionDep, claims: ClaimsDep) -> UUID:
    """Return who is asking for a goal. The document's requests for one goal name nobody: behind a
    trusted gateway, which has let them through, its id is enough. Raises GoalNotFound."""
    if asks_as_nobody(claims):
        return owner_of_goal(session, goal_id)
    owner = identify(session, claims).id
    limits.count("person", str(owner))
    return owner


def _waiting_goal_owner(goal_id: UUID, claims: ClaimsDep) -> UUID:
    """Return the same for routes that wait, which must not hold a connection meanwhile."""
    if asks_as_nobody(claims):
        with transaction() as session:
            return owner_of_goal(session, goal_id)
    return owner_in_passing(claims)


def session_holder(session: Session, claims: Claims) -> UUID | None:
    """Return who is asking for a voice session; None where a trusted gateway names nobody: there
    whoever holds a session's unguessable id may use it, as in the document's requests."""
    return None if asks_as_nobody(claims) else identify(session, claims).id


def task_owner(session: Session, claims: Claims, task_id: UUID) -> UUID:
    """Return who is asking for a task; behind a trusted gateway its id is enough, as a goal's is.

    Raises TaskNotFound.
    """
    if asks_as_nobody(claims):
        return owner_of_task(session, task_id)
    owner = identify(session, claims).id
    limits.count("person", str(owner))
    return owner


ListingOwner = Annotated[UUID, Depends(_listing_owner)]
PLANNING = limited("chat", goal_owner)  # for routes about a goal that call a model
GoalOwner = Annotated[UUID, Depends(goal_owner)]
WaitingGoalOwner = Annotated[UUID, Depends(_waiting_goal_owner)]
