"""Goals by conversation: a question at a time, then a plan, then a yes."""

import asyncio
import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, StringConstraints
from starlette.concurrency import run_in_threadpool

from api.deps import CHAT, ClaimsDep, WaitingOwner, asks_as_nobody, limited, owner_in_passing
from api.dialects import speaking
from config.db import transaction
from models.goals.goals import UserRef
from models.goals.talks import TalkPublic, describe_talk, find_talk, get_talk, start_talk
from models.jobs.tables import TERMINAL, Job, JobStatus
from pipelines.goals.propose import reply

router = APIRouter(prefix="/goals", tags=["goals"], **speaking("goals"))

PLAN_WAIT_S = 15.0  # so long an answer waits for the plan; then it says that the plan is coming
LOOK_S = 0.2  # between two looks at the plan's job

Said = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5000, pattern=r"^[^\x00]+$"),
]


class StartTalk(BaseModel):
    """What somebody says first."""

    user_id: UserRef
    message: Said


class Respond(BaseModel):
    """What somebody answers."""

    message: Said


def _talk_owner(conversation_id: UUID, claims: ClaimsDep) -> UUID:
    """Return who is asking; behind a trusted gateway a conversation's id is enough."""
    if asks_as_nobody(claims):
        with transaction() as session:
            return find_talk(session, conversation_id).owner_id
    return owner_in_passing(claims)


TalkOwner = Annotated[UUID, Depends(_talk_owner)]
TALKING = limited("chat", _talk_owner)


def _start(body: StartTalk, owner: UUID) -> TalkPublic:
    with transaction() as session:
        talk = start_talk(session, body.message, owner=owner, user_ref=body.user_id)
        return describe_talk(talk)


def _respond(ref: UUID, message: str, owner: UUID) -> None:
    with transaction() as session:
        reply(session, get_talk(session, ref, owner=owner, lock=True), message)


def _read(ref: UUID, owner: UUID) -> tuple[TalkPublic, bool]:
    """Return a conversation, and whether its job has something to do at the moment."""
    with transaction() as session:
        talk = get_talk(session, ref, owner=owner)
        job = session.get(Job, talk.job_id) if talk.job_id else None
        busy = job is not None and job.status not in (JobStatus.WAITING, *TERMINAL)
        if not busy:
            session.refresh(talk)  # the job may have ended after the conversation was read
        return describe_talk(talk, job), busy


async def _settled(ref: UUID, owner: UUID) -> TalkPublic:
    """Return a conversation once its job waits for the person again, or a while later."""
    until = time.monotonic() + PLAN_WAIT_S
    told, busy = await run_in_threadpool(_read, ref, owner)
    while busy and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)
        told, busy = await run_in_threadpool(_read, ref, owner)
    return told


@router.post("/start", dependencies=[CHAT])
async def start_conversation(body: StartTalk, owner: WaitingOwner) -> TalkPublic:
    """Say what you would like to reach; questions come back, one at a time."""
    return await run_in_threadpool(_start, body, owner)


@router.post("/{conversation_id}/respond", dependencies=[TALKING])
async def respond(conversation_id: UUID, body: Respond, owner: TalkOwner) -> TalkPublic:
    """Answer the last question. After the last one comes a plan: say yes, no, or what to change."""
    await run_in_threadpool(_respond, conversation_id, body.message, owner)
    return await _settled(conversation_id, owner)


@router.get("/conversations/{conversation_id}")
async def read_conversation(conversation_id: UUID, owner: TalkOwner) -> TalkPublic:
    """A conversation as it is now, the plan included once it is written."""
    told, _ = await run_in_threadpool(_read, conversation_id, owner)
    return told
