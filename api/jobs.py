"""The engine's own API: start, watch, stop, take up again."""

import re
from decimal import Decimal
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.answers import read, settled
from api.deps import Limit, Owner, SessionDep, WaitingOwner, claims_of, owner_in_passing
from api.dialects import speaking
from api.once import Once, OnceDep
from api.sse import STREAMS, CursorDep, follow, sign_stream_token, verify_stream_token
from api.streams import ENGINE
from config.db import transaction
from models.costs.budgets import Usd
from models.jobs import idempotency, lifecycle
from models.jobs.queries import (
    JobPublic,
    describe,
    get_job,
    list_jobs,
)  # fmt: skip
from models.jobs.steps import StepPublic, describe_step, list_steps
from models.jobs.tables import Job, JobStatus
from models.webhooks.keeping import get_webhook, name_webhook
from pipelines import REGISTRY, get_pipeline, get_startable, tell_after_commit

router = APIRouter(tags=["jobs"], **speaking("engine"))

MAX_WAIT_S = 60.0
MAX_STEPS = 1_000


class JobPage(BaseModel):
    """A page of jobs, newest first; `next` is the cursor of the page after it."""

    jobs: list[JobPublic]
    next: UUID | None


class PipelinePublic(BaseModel):
    """A long operation that this server knows."""

    name: str
    fingerprint: str
    startable: bool
    steps: list[str]
    input_schema: dict[str, Any]


class Fork(BaseModel):
    """Where a new job begins, and what is changed before it does."""

    step: str
    edits: dict[str, Any] = {}


class Answer(BaseModel):
    """A person's answer to a step that asked."""

    step: str
    value: Any
    item: str = ""


class StreamToken(BaseModel):
    """A token that opens one job's stream for a minute."""

    token: str
    url: str


def accepted(job: JobPublic, once: Once, *, status: int = 202) -> Response:
    """Return the answer to a request that has started a job."""
    headers = {"Location": f"/jobs/{job.id}"} | once.headers
    return Response(job.model_dump_json(), status, headers, "application/json")


@router.get("/pipelines")
def list_pipelines() -> list[PipelinePublic]:
    """Every long operation, its steps and what it takes."""
    return [
        PipelinePublic(
            name=one.name,
            fingerprint=one.fingerprint,
            startable=one.startable,
            steps=[spec.name for spec in one.specs],
            input_schema=one.input.model_json_schema(),
        )
        for one in REGISTRY.values()
    ]


def _start(
    pipeline: str,
    input: dict[str, Any],
    owner: UUID,
    once: Once,
    priority: int,
    webhook: UUID | None,
    budget_usd: Decimal | None,
) -> JobPublic:
    operation = get_startable(pipeline)
    with transaction() as session:

        def begin() -> Job:
            named = get_webhook(session, webhook, owner=owner) if webhook else None
            job = operation.start(
                session,
                operation.parse(input),
                owner=owner,
                priority=priority,
                budget_usd=budget_usd,
            )
            if named:
                name_webhook(session, job.id, named)
            return job

        return describe(session, once.start(session, begin, owner=owner, said=[pipeline, input]))


@router.post("/jobs/{pipeline}", status_code=202, response_model=JobPublic)
async def start_job(
    pipeline: str,
    owner: WaitingOwner,
    input: Annotated[dict[str, Any], Body(default_factory=dict)],
    once: OnceDep,
    priority: Annotated[int, Query(ge=-100, le=100)] = 0,
    webhook: Annotated[UUID | None, Query(description="One of yours, to be told of it.")] = None,
    budget_usd: Annotated[Usd | None, Query(description="What it may spend on models.")] = None,
    prefer: Annotated[str | None, Header(description="`wait=n`: for the end, n seconds.")] = None,
) -> Response:
    """Start a long operation. Follow it at `Location`."""
    job = await run_in_threadpool(
        _start, pipeline, input, owner, once, priority, webhook, budget_usd
    )
    wait = re.fullmatch(r"wait=(\d{1,3})", prefer or "")
    if wait:
        job = await settled(job, owner=owner, timeout_s=min(int(wait[1]), MAX_WAIT_S))
    return accepted(job, once, status=200 if job.finished_at else 202)


@router.get("/jobs")
def read_jobs(
    session: SessionDep,
    owner: Owner,
    limit: Limit = 20,
    status: JobStatus | None = None,
    pipeline: str | None = None,
    before: Annotated[UUID | None, Query(description="`next` of the page before.")] = None,
) -> JobPage:
    """Your jobs, newest first."""
    rows = list_jobs(
        session, owner=owner, status=status, pipeline=pipeline, before=before, limit=limit
    )
    jobs = [JobPublic.model_validate(row, from_attributes=True) for row in rows]
    return JobPage(jobs=jobs, next=jobs[-1].id if len(jobs) == limit else None)


@router.get("/jobs/{job_id}", response_model=JobPublic)
async def read_job(
    job_id: str,
    owner: WaitingOwner,
    request: Request,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds for its end.")] = 0,
) -> Response:
    """A job as it is now; with `wait`, as soon as it has ended."""
    job = await run_in_threadpool(read, job_id, owner)
    if wait:
        job = await settled(job, owner=owner, timeout_s=wait)
    body = job.model_dump_json()
    etag = f'"{idempotency.request_hash(body)[:32]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, media_type="application/json", headers={"ETag": etag})


@router.get("/jobs/{job_id}/steps")
def read_steps(
    job_id: str,
    session: SessionDep,
    owner: Owner,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=MAX_STEPS, description="How many at most.")] = MAX_STEPS,
    after: Annotated[UUID | None, Query(description="The last step of the page before.")] = None,
    output: Annotated[bool, Query(description="With what the steps have returned.")] = True,
) -> list[StepPublic]:
    """The job's plan and how far each step is. `Link` says where more is (RFC 8288)."""
    job = get_job(session, job_id, owner=owner)
    rows = list_steps(session, job.id, after=after, limit=limit, outputs=output)
    if len(rows) == limit:
        more = urlencode({"after": rows[-1].id, "limit": limit, "output": str(output).lower()})
        response.headers["Link"] = f'<?{more}>; rel="next"'
    return [describe_step(row, output=output) for row in rows]


def _stream_of(job_id: str, owner: UUID | None, token: str | None) -> tuple[UUID, UUID]:
    with transaction() as session:
        if token is not None:
            owner = verify_stream_token(token, job_id)
        assert owner is not None
        return get_job(session, job_id, owner=owner).id, owner


def _owner_unless_token(request: Request) -> UUID | None:
    """Return who is asking; a stream token in the query speaks for itself."""
    if "token" in request.query_params:
        return None
    return owner_in_passing(claims_of(request))


@router.get("/jobs/{job_id}/events", **STREAMS)
async def stream_events(
    job_id: str,
    cursor: CursorDep,
    owner: Annotated[UUID | None, Depends(_owner_unless_token)],
    token: Annotated[str | None, Query(description="A stream token.")] = None,
) -> Response:
    """The job's events and tokens as Server-Sent Events, from the cursor on."""
    found, reader = await run_in_threadpool(_stream_of, job_id, owner, token)
    return await follow(found, cursor, ENGINE, owner=reader)


@router.post("/jobs/{job_id}/stream-token")
def issue_stream_token(job_id: str, session: SessionDep, owner: Owner) -> StreamToken:
    """A token for browsers' EventSource, which cannot send headers."""
    job = get_job(session, job_id, owner=owner)
    token = sign_stream_token(job.id, owner)
    return StreamToken(token=token, url=f"/jobs/{job.id}/events?token={token}")


@router.post("/jobs/{job_id}/cancel")
def cancel_job(job_id: str, session: SessionDep, owner: Owner) -> JobPublic:
    """Ask the job to stop. A finished job keeps its state; asking again changes nothing."""
    job = get_job(session, job_id, owner=owner)
    lifecycle.request_cancel(session.connection(), job.id)
    tell_after_commit(session, job.id, [])
    return _fresh(session, job)


@router.post("/jobs/{job_id}/resume", status_code=202)
def resume_job(job_id: str, session: SessionDep, owner: Owner) -> JobPublic:
    """Let a job that failed, was cancelled or left items out go on from what did not succeed."""
    job = get_job(session, job_id, owner=owner)
    get_pipeline(job.pipeline).resume(session, job)
    return _fresh(session, job)


@router.post("/jobs/{job_id}/retry", status_code=202)
def retry_job(job_id: str, session: SessionDep, owner: Owner, once: OnceDep) -> JobPublic:
    """Start a new job with the same input."""
    job = get_job(session, job_id, owner=owner)
    again = partial(get_pipeline(job.pipeline).retry, session, job)
    return describe(session, once.start(session, again, owner=owner))


@router.post("/jobs/{job_id}/fork", status_code=202)
def fork_job(
    job_id: str, fork: Fork, session: SessionDep, owner: Owner, once: OnceDep
) -> JobPublic:
    """Start a new job at a step, with copies of all outputs before it, changed as you say."""
    job = get_job(session, job_id, owner=owner)
    begin = partial(get_pipeline(job.pipeline).fork, session, job, **fork.model_dump())
    return describe(session, once.start(session, begin, owner=owner, said=fork.model_dump()))


@router.post("/jobs/{job_id}/answer", status_code=202)
def answer_job(job_id: str, answer: Answer, session: SessionDep, owner: Owner) -> JobPublic:
    """Answer a step that waits for a person."""
    job = get_job(session, job_id, owner=owner)
    get_pipeline(job.pipeline).answer(session, job, answer.step, answer.item, answer.value)
    return _fresh(session, job)


def _fresh(session: SessionDep, job: Job) -> JobPublic:
    session.refresh(job)
    return describe(session, job)
