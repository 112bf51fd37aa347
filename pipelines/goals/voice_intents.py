"""What people ask for by voice, done once, and answered as one says it aloud."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlmodel import Session

from models.errors import DomainError
from models.goals.goals import GoalCreate, get_goal, list_goals, new_goal
from models.goals.progress import say_progress
from models.goals.rhythm import read_rhythm
from models.goals.scheduler import reschedule, say_proposals, say_time, suggest
from models.goals.tables import Goal, GoalStatus, Talk, Trigger
from models.goals.todo import Moment, TaskCreate, TaskNotFound, Title, add_task
from models.goals.voice import take_call
from pipelines.goals.plan import begin

Act = Callable[[Session, Talk, Any], str]
DESCRIPTION_CHARS = 5000


class CreateGoal(BaseModel):
    """A goal of which title and description are known."""

    title: Title
    description: str = ""


class SubmitGoal(BaseModel):
    """A goal as somebody says it."""

    goal_statement: Title
    timeline: str = ""
    context_notes: str = ""


class SubmitTask(TaskCreate):
    """One task."""


class SubmitReschedule(BaseModel):
    """Another time for a task."""

    task_id: UUID
    preferred_new_time: Moment | None = None
    reason: str = ""


class AskProgress(BaseModel):
    """How far a plan is."""

    goal_id: UUID | None = None


QUESTIONS = {
    "title": "What shall I call it?",
    "goal_statement": "What would you like to achieve?",
    "timeline": "How long may it take?",
    "trigger_type": "Shall I remind you at a time, or at a place?",
    "scheduled_at": "When would you like to do it?",
    "location_trigger": "Which place should remind you?",
    "recurrence_rule": "How often should it come again?",
    "task_id": "Which task do you mean?",
    "preferred_new_time": "What time would suit you better?",
    "goal_id": "Which goal do you mean?",
}


def create_goal(session: Session, talk: Talk, asked: CreateGoal) -> str:
    """Set a goal and have it planned."""
    return _set_goal(session, talk, asked.title, asked.description)


def submit_goal(session: Session, talk: Talk, asked: SubmitGoal) -> str:
    """Set a goal and have it planned; the timeline's words say how many weeks it takes."""
    timeline = f"Timeline: {asked.timeline.strip()}." if asked.timeline.strip() else ""
    described = "\n".join(part for part in (timeline, asked.context_notes.strip()) if part)
    return _set_goal(session, talk, asked.goal_statement, described)


def _set_goal(session: Session, talk: Talk, title: str, description: str) -> str:
    goal = new_goal(
        session,
        GoalCreate(
            title=title,
            description=description.replace("\x00", "")[:DESCRIPTION_CHARS],
            user_id=str(talk.owner_id),
            time_zone=read_rhythm(session, owner=talk.owner_id).time_zone,
        ),
        owner=talk.owner_id,
    )
    begin(session, goal)
    session.flush()
    talk.linked_goal_id = goal.id
    weeks = "one week" if goal.target_weeks == 1 else f"{goal.target_weeks} weeks"
    turn = " It will begin once one of your active goals ends."
    later = turn if goal.status is GoalStatus.PIPELINE else ""
    return (
        f"I've set your goal “{goal.title}” and am planning {weeks} for it.{later} "
        "Ask me at any time how far the plan is."
    )


def submit_task(session: Session, talk: Talk, asked: SubmitTask) -> str:
    """Add one task, by the clock of the person's time zone."""
    missing = asked.scheduled_at if asked.trigger_type is Trigger.TIME else asked.location_trigger
    if not missing:
        is_timed = asked.trigger_type is Trigger.TIME
        return QUESTIONS["scheduled_at" if is_timed else "location_trigger"]
    zone = read_rhythm(session, owner=talk.owner_id).time_zone
    task = add_task(session, asked, owner=talk.owner_id, time_zone=zone)
    talk.linked_task_id = task.id
    if task.scheduled_at is None:
        return f"I'll remind you of “{task.title}” at {task.location_trigger}."
    again = " It will come again as you said." if task.recurrence_rule else ""
    return f"I've planned “{task.title}” for {say_time(task.scheduled_at, zone)}.{again}"


def submit_reschedule(session: Session, talk: Talk, asked: SubmitReschedule) -> str:
    """Move a task; without a time, say which there are."""
    if asked.preferred_new_time is None:
        return say_proposals(*suggest(session, asked.task_id, owner=talk.owner_id))
    task = reschedule(session, asked.task_id, asked.preferred_new_time, None, owner=talk.owner_id)
    talk.linked_task_id = task.id
    assert task.scheduled_at is not None
    zone = read_rhythm(session, owner=talk.owner_id).time_zone
    return f"I've moved “{task.title}” to {say_time(task.scheduled_at, zone)}."


def tell_progress(session: Session, talk: Talk, asked: AskProgress) -> str:
    """Say how far a plan is: of the goal that is named, was talked about, or is the newest."""
    goal: Goal | None
    if named := asked.goal_id or talk.linked_goal_id:
        goal = get_goal(session, named, owner=talk.owner_id)
    else:
        goal = next(iter(list_goals(session, owner=talk.owner_id)), None)
    if goal is None:
        return "You have no goals yet. What would you like to achieve?"
    return say_progress(session, goal)


ACTS: dict[str, tuple[type[BaseModel], Act]] = {
    "create_goal": (CreateGoal, create_goal),
    "submit_goal_intent": (SubmitGoal, submit_goal),
    "submit_new_task_intent": (SubmitTask, submit_task),
    "submit_reschedule_intent": (SubmitReschedule, submit_reschedule),
    "get_plan_progress": (AskProgress, tell_progress),
}


class Declined(Exception):
    """What was asked for cannot be done; the message is what to say. All of it is undone."""


def carry_out(session: Session, talk: Talk, *, call: str, name: str, given: dict[str, Any]) -> str:
    """Do what is asked, once for each call of a session, and return what to say.

    In one transaction with the record of the call: the same call again, also at the same moment,
    gets the same words and does nothing. Raises Declined: roll back, then `decline`.
    """
    row, is_ours = take_call(session, talk, call=call, name=name, given=given)
    if is_ours:
        talk.extracted_intent, talk.intent_payload = name, given
        row.result = _carried_out(session, talk, name, given)
    return row.result


def _carried_out(session: Session, talk: Talk, name: str, given: dict[str, Any]) -> str:
    if name not in ACTS:
        return f"Sorry, I don't know how to handle '{name}'."
    form, act = ACTS[name]
    try:
        asked = form.model_validate(given)
    except ValidationError as error:
        return _question(error)
    try:
        return act(session, talk, asked)
    except TaskNotFound as error:
        raise Declined(f"I can't find that task. {QUESTIONS['task_id']}") from error
    except DomainError as error:
        raise Declined(f"Sorry, that didn't work: {error}") from error


def decline(
    session: Session, talk: Talk, *, call: str, name: str, given: dict[str, Any], words: str
) -> str:
    """Record that a call was declined, in a new transaction; return what to say."""
    row, is_ours = take_call(session, talk, call=call, name=name, given=given)
    if is_ours:
        row.result = words
    return row.result


def _question(error: ValidationError) -> str:
    """Return what to ask for what is missing or cannot be understood."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    question = QUESTIONS.get(field, "Could you say that again?")
    missing = first["type"] in ("missing", "string_too_short") or first["input"] is None
    return question if missing else f"I didn't quite get that. {question}"
