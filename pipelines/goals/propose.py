"""Write a plan out of a conversation, wait for the person's yes, and save both as a goal.

The questions before are answered from rows (`models/goals/talks.py`): no work lies between them, so
no job has to wait. The plan is work, and stands behind a job: it waits for the answer as long as
the person likes, across restarts, and holds no worker meanwhile.
"""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.goals.corpus import live_corpus
from models.goals.goals import GoalCreate, new_goal
from models.goals.tables import Speaker, Talk, TalkState
from models.goals.talks import (
    FEW_WORDS,
    NO,
    QUESTIONS,
    YES,
    details_of,
    drop_plan,
    get_talk,
    hear,
    is_drafting,
    is_gathered,
    link_goal,
    question,
    say,
)  # fmt: skip
from models.goals.versions import Planned, keep_plan, plan_as_json
from models.jobs import lifecycle
from models.jobs.tables import TERMINAL, Job
from pipelines.goals.drafting import Brief, check, draft, repair, retrieve
from tasks.pipeline import Pipeline
from tasks.tools import Ask, JobRef


class ProposePlan(BaseModel):
    """The conversation to write a plan for, and what should be different from the last one."""

    conversation_id: UUID
    wishes: str = ""


class Presented(BaseModel):
    """That the plan was shown."""

    weeks: int


class Answered(BaseModel):
    """Whether the plan is to be saved."""

    confirmed: bool


class SavedGoal(BaseModel):
    """The goal that came of it, if any."""

    goal_id: UUID | None


def read_talk(request: ProposePlan, job: JobRef, session: Session) -> Brief:
    """Say what is to be planned, from what the person has told. Raises TalkNotFound."""
    talk = get_talk(session, request.conversation_id, owner=job.owner_id)
    told = talk.intent_payload or {}
    return Brief(
        goal_id=None,
        base=None,
        title=told["title"][:500],
        description=details_of(talk),
        wishes=request.wishes,
        total=told["weeks"],
        weeks=list(range(1, told["weeks"] + 1)),
        kept=[],
        sources=[],
        target_date=None,
        corpus=live_corpus(session),
    )


def present(request: ProposePlan, planned: Planned, job: JobRef, session: Session) -> Presented:
    """Show the plan in the conversation."""
    talk = get_talk(session, request.conversation_id, owner=job.owner_id, lock=True)
    talk.intent_payload = (talk.intent_payload or {}) | {"plan": plan_as_json(planned, 1)}
    talk.state = TalkState.PLAN_READY
    say(session, talk, Speaker.ASSISTANT, QUESTIONS[TalkState.PLAN_READY])
    return Presented(weeks=len(planned.weeks))


def confirm(presented: Presented, ask: Ask) -> Answered:
    """Wait for the person's yes, as long as it takes."""
    question = QUESTIONS[TalkState.PLAN_READY]
    return Answered(confirmed=ask(question, bool, weeks=presented.weeks))


def save_goal(
    request: ProposePlan,
    brief: Brief,
    planned: Planned,
    answered: Answered,
    job: JobRef,
    session: Session,
) -> SavedGoal:
    """Save goal and plan, all at once or not at all; a plan that is not wanted is dropped."""
    talk = get_talk(session, request.conversation_id, owner=job.owner_id, lock=True)
    if not answered.confirmed:
        return SavedGoal(goal_id=None)
    given = GoalCreate(
        title=brief.title,
        description=brief.description,
        user_id=(talk.intent_payload or {})["user_ref"],
        target_weeks=brief.total,
    )
    goal = new_goal(session, given, owner=job.owner_id)
    goal.job_id = job.id
    session.add(goal)
    session.flush()
    keep_plan(session, goal, planned, base=None, job=job.id)
    link_goal(session, talk, goal)
    return SavedGoal(goal_id=goal.id)


propose = Pipeline(
    "goals.propose",
    read_talk,
    retrieve,
    draft,
    check,
    repair,
    present,
    confirm,
    save_goal,
    input=ProposePlan,
)


def begin(session: Session, talk: Talk) -> Job:
    """Start writing the plan of a conversation."""
    job = propose.start(session, ProposePlan(conversation_id=talk.id), owner=talk.owner_id)
    talk.job_id = job.id
    return job


def begin_again(session: Session, talk: Talk, last: Job, wishes: str) -> Job:
    """Write the plan anew as the person wishes: a fork, so nothing is looked for twice."""
    request = ProposePlan(conversation_id=talk.id, wishes=wishes)
    if last.fingerprint != propose.fingerprint:
        job = propose.start(session, request, owner=talk.owner_id)
    else:
        brief = read_talk(request, JobRef(last.id, talk.owner_id), session)
        outputs = {read_talk.__name__: brief.model_dump(mode="json")}
        edits = {"input": request.model_dump(mode="json"), "outputs": outputs}
        job = propose.fork(session, last, step=draft.__name__, edits=edits)
    told = {name: one for name, one in (talk.intent_payload or {}).items() if name != "plan"}
    talk.job_id, talk.state, talk.intent_payload = job.id, TalkState.GATHERING_PREFERENCES, told
    return job


def reply(session: Session, talk: Talk, message: str) -> None:
    """Take an answer of the person: to a question, or to the plan that was shown.

    Raises NotWaiting when the plan is being saved already.
    """
    talking = not is_gathered(talk)
    hear(session, talk, message)
    last = session.get(Job, talk.job_id) if talk.job_id else None
    if talk.state == TalkState.CONFIRMED or not is_gathered(talk):
        return
    if last is None or talking or last.status in TERMINAL:
        begin(session, talk)
    elif not is_drafting(talk):
        _answer(session, talk, last, message.strip())


def _answer(session: Session, talk: Talk, last: Job, message: str) -> None:
    if YES.fullmatch(message) or NO.fullmatch(message):
        confirmed = YES.fullmatch(message) is not None
        propose.answer(session, last, confirm.__name__, "", confirmed)
        if confirmed:
            talk.state = TalkState.AWAITING_CONFIRMATION
        else:
            drop_plan(talk)
    elif len(message.split()) <= FEW_WORDS:
        talk.state = TalkState.AWAITING_CONFIRMATION
    else:
        begin_again(session, talk, last, message)
        lifecycle.request_cancel(session.connection(), last.id)
    say(session, talk, Speaker.ASSISTANT, question(talk))
