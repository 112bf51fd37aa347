"""Conversations in which somebody says, answer by answer, what they want to reach."""

import re
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session, col, select

from models.errors import NotFound
from models.goals.tables import (
    DEFAULT_WEEKS,
    Goal,
    Speaker,
    Talk,
    TalkContext,
    TalkMessage,
    TalkState,
)
from models.goals.weeks import WeeksOutOfRange, checked_weeks, weeks_in
from models.jobs.tables import TERMINAL, Job

GREETING = re.compile(r"(hi|hello|hey|good (morning|day|evening)|start|help)\W*", re.IGNORECASE)
YES = re.compile(
    r"((yes|yeah|yep|sure|ok(ay)?|confirm(ed)?|(please )?save( it| the plan)?|accept(ed)?|go ahead|"
    r"(it )?looks? (good|great|fine)|perfect|great|do it|please|thanks?( you)?)\W*)+",
    re.IGNORECASE,
)
NO = re.compile(r"(no|nope|cancel|stop|drop( it)?|forget( it)?|never ?mind)\W*", re.IGNORECASE)
FEW_WORDS = 2  # so short an answer to a plan says nothing that could be changed in it

QUESTIONS = {
    TalkState.IDLE: "What would you like to reach?",
    TalkState.GATHERING_TIMELINE: "In how many weeks would you like to reach it?",
    TalkState.GATHERING_CURRENT_STATE: "Where do you stand today?",
    TalkState.GATHERING_TARGET: "How will you know that you have reached it?",
    TalkState.GATHERING_PREFERENCES: "Is there anything your plan should respect: times, things "
    "you like or cannot do?",
    TalkState.PLAN_READY: "This is your plan. Shall I save it? You may also say what to change.",
    TalkState.AWAITING_CONFIRMATION: "Say yes to save the plan, no to drop it, or what to change.",
    TalkState.CONFIRMED: "Your goal is saved, and its tasks are in your calendar.",
}
GATHERING = [  # state -> where its answer is kept
    (TalkState.IDLE, "title"),
    (TalkState.GATHERING_TIMELINE, "weeks"),
    (TalkState.GATHERING_CURRENT_STATE, "current_state"),
    (TalkState.GATHERING_TARGET, "target"),
    (TalkState.GATHERING_PREFERENCES, "preferences"),
]
FAILED = "The plan could not be written. Say anything, and I try again."
DRAFTING = "I am writing your plan; this takes a moment."


class TalkNotFound(NotFound):
    """There is no such conversation."""

    code = "conversation_not_found"


class TalkPublic(BaseModel):
    """What a conversation has come to."""

    conversation_id: UUID
    state: TalkState
    message: str
    suggested_action: str
    plan: dict[str, Any] | None
    goal_id: UUID | None


def start_talk(session: Session, message: str, *, owner: UUID, user_ref: str) -> Talk:
    """Begin a conversation with what somebody says first."""
    talk = Talk(
        owner_id=owner, context_type=TalkContext.GOAL, intent_payload={"user_ref": user_ref}
    )
    session.add(talk)
    session.flush()
    hear(session, talk, message)
    return talk


def get_talk(session: Session, ref: UUID, *, owner: UUID, lock: bool = False) -> Talk:
    """Return the owner's conversation, by its id or its goal's. Raises TalkNotFound."""
    talk = find_talk(session, ref, lock=lock)
    if talk.owner_id != owner:
        raise TalkNotFound()
    return talk


def find_talk(session: Session, ref: UUID, *, lock: bool = False) -> Talk:
    """Return a conversation about a goal, whoever's. Raises TalkNotFound."""
    named = (col(Talk.id) == ref) | (col(Talk.linked_goal_id) == ref)
    query = select(Talk).where(named, Talk.context_type == TalkContext.GOAL)
    query = query.order_by(col(Talk.created_at)).limit(1)
    talk = session.exec(query.with_for_update() if lock else query).one_or_none()
    if talk is None:
        raise TalkNotFound()
    return talk


def is_gathered(talk: Talk) -> bool:
    """Say whether every question has its answer."""
    return "preferences" in (talk.intent_payload or {})


def say(session: Session, talk: Talk, role: Speaker, content: str) -> None:
    """Append a message to a conversation."""
    session.add(TalkMessage(talk_id=talk.id, role=role, content=content))


def hear(session: Session, talk: Talk, message: str) -> None:
    """Take an answer while questions are open, and go on to the next one.

    A conversation whose questions are all answered only keeps the message.
    """
    say(session, talk, Speaker.USER, message)
    told = dict(talk.intent_payload or {})
    if not is_gathered(talk):
        _take(talk, told, message.strip())
        say(session, talk, Speaker.ASSISTANT, question(talk))


def _take(talk: Talk, told: dict[str, Any], message: str) -> None:
    key = dict(GATHERING)[talk.state]
    if key == "title" and GREETING.fullmatch(message):
        return
    try:
        told |= {key: _weeks(message)} if key == "weeks" else {key: message}
        if key == "title" and (weeks := weeks_in(message)):
            told["weeks"] = weeks
    except WeeksOutOfRange:
        if key == "title":
            told[key] = message
    talk.intent_payload = told
    talk.extracted_intent = "create_goal"
    left = [state for state, name in GATHERING if name not in told]
    talk.state = left[0] if left else TalkState.GATHERING_PREFERENCES


def _weeks(message: str) -> int:
    """Return how many weeks an answer names; a bare number is one, no number the default."""
    number = re.fullmatch(r"\D*(\d{1,6})\D*", message)
    said = weeks_in(message)
    if said is None and number:
        return checked_weeks(int(number[1]))
    return said or DEFAULT_WEEKS


def question(talk: Talk) -> str:
    """Return what is asked, or told, next."""
    if is_gathered(talk) and talk.state == TalkState.GATHERING_PREFERENCES:
        return DRAFTING
    return QUESTIONS[TalkState(talk.state)]


def describe_talk(talk: Talk, job: Job | None = None) -> TalkPublic:
    """Return a conversation as the person sees it; `job` is the one that writes its plan."""
    actions = {
        TalkState.PLAN_READY: "confirm_plan",
        TalkState.AWAITING_CONFIRMATION: "confirm_plan",
        TalkState.CONFIRMED: "view_goal",
    }
    payload = talk.intent_payload or {}
    action = "wait" if is_drafting(talk) else actions.get(TalkState(talk.state), "answer")
    stuck = is_drafting(talk) and job is not None and job.status in TERMINAL
    return TalkPublic(
        conversation_id=talk.id,
        state=TalkState(talk.state),
        message=FAILED if stuck else question(talk),
        suggested_action="answer" if stuck else action,
        plan=payload.get("plan"),
        goal_id=talk.linked_goal_id,
    )


def details_of(talk: Talk) -> str:
    """Return the answers as the description of a goal."""
    told = talk.intent_payload or {}
    lines = [("Today", "current_state"), ("Target", "target"), ("To respect", "preferences")]
    return "\n".join(f"{name}: {told[key]}" for name, key in lines if told.get(key))


def is_drafting(talk: Talk) -> bool:
    """Say whether the plan is being written."""
    return question(talk) == DRAFTING


def drop_plan(talk: Talk) -> None:
    """Begin anew: the plan is not wanted."""
    talk.intent_payload = {"user_ref": (talk.intent_payload or {})["user_ref"]}
    talk.state = TalkState.IDLE


def link_goal(session: Session, talk: Talk, goal: Goal) -> None:
    """Note which goal a conversation has led to, and that it has."""
    talk.linked_goal_id, talk.state = goal.id, TalkState.CONFIRMED
    say(session, talk, Speaker.ASSISTANT, QUESTIONS[TalkState.CONFIRMED])


def list_messages(session: Session, talk: Talk) -> list[TalkMessage]:
    """Return what was said, in order."""
    query = select(TalkMessage).where(TalkMessage.talk_id == talk.id)
    return list(session.exec(query.order_by(col(TalkMessage.id))))
