"""A goal's calendar as a feed: calendars that subscribe to an address send no headers."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import jwt
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from api.deps import ClaimsDep, SessionDep
from api.dialects import speaking
from api.goals.asker import GoalOwner, goal_owner
from config.settings import settings
from models.accounts import InvalidToken
from models.base import now
from models.goals.calendar import calendar_of
from models.goals.goals import get_goal
from models.goals.layout import list_milestones, list_tasks

router = APIRouter(prefix="/goals/{goal_id}", tags=["goals"], **speaking("goals"))

FEED_LIFE = timedelta(days=400)  # the longest plan, and some weeks
ICS: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"content": {"text/calendar": {}}}},
}


class CalendarToken(BaseModel):
    """A token that opens one goal's calendar, and the address to subscribe to."""

    token: str
    url: str


def _verify(token: str, goal_id: UUID) -> UUID:
    """Return whose calendar token this is. Raises InvalidToken."""
    key = settings.secret_key.get_secret_value()
    try:
        claims = jwt.decode(token, key, algorithms=["HS256"], audience=f"calendar:{goal_id}")
        return UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError, KeyError):
        raise InvalidToken("This calendar token is not valid, or no longer.") from None


def _reader(
    goal_id: UUID,
    session: SessionDep,
    claims: ClaimsDep,
    token: Annotated[str | None, Query(description="A calendar token.")] = None,
) -> UUID:
    """Return who is asking; a calendar token in the query speaks for itself."""
    return _verify(token, goal_id) if token is not None else goal_owner(goal_id, session, claims)


@router.post("/calendar-token")
def issue_calendar_token(goal_id: UUID, session: SessionDep, owner: GoalOwner) -> CalendarToken:
    """An address of the goal's calendar that other calendars can subscribe to."""
    goal = get_goal(session, goal_id, owner=owner)
    told = {"aud": f"calendar:{goal.id}", "sub": str(goal.owner_id), "exp": now() + FEED_LIFE}
    token = jwt.encode(told, settings.secret_key.get_secret_value(), algorithm="HS256")
    return CalendarToken(token=token, url=f"/goals/{goal.id}/calendar.ics?token={token}")


@router.get("/calendar.ics", **ICS)
def read_calendar(
    goal_id: UUID, session: SessionDep, owner: Annotated[UUID, Depends(_reader)]
) -> Response:
    """The goal's tasks as iCalendar, with time zones and recurrence."""
    goal = get_goal(session, goal_id, owner=owner)
    weeks = {row.id: f"Week {row.week}: {row.title}" for row in list_milestones(session, goal)}
    told = calendar_of(goal, list_tasks(session, goal), weeks)
    named = {"Content-Disposition": f'inline; filename="goal-{goal.id}.ics"'}
    return Response(told, media_type="text/calendar", headers=named)
