"""Answering inside a request: a job is started, and its end awaited for a bounded time.

The API process itself calls no model, index or foreign server; every route that needs one goes this
way. Nothing holds a database connection while it waits.
"""

from functools import partial
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.once import Once
from api.streams import finished
from config.db import transaction
from models.jobs.queries import JobPublic, describe, explain, get_job
from pipelines import Pipeline


async def answer(
    pipeline: Pipeline,
    given: BaseModel,
    *,
    owner: UUID,
    timeout_s: float,
    once: Once | None = None,
    **options: Any,
) -> JobPublic:
    """Start a job in a transaction of its own and return it as it is at its end.

    After `timeout_s` seconds it is returned as it is then, without `finished_at`, and goes on:
    answer 202 with it, or 504 where a document demands an answer. `once` is the request, where it
    may have an Idempotency-Key; `options` are those of `Pipeline.start`.
    """
    job = await run_in_threadpool(_begin, pipeline, given, owner, once, options)
    return await settled(job, owner=owner, timeout_s=timeout_s)


async def settled(job: JobPublic, *, owner: UUID, timeout_s: float) -> JobPublic:
    """Return a job as it is at its end, or after `timeout_s` seconds."""
    if job.finished_at is None and timeout_s and await finished(job.id, timeout_s=timeout_s):
        return await run_in_threadpool(read, str(job.id), owner)
    return job


def read(ref: str, owner: UUID) -> JobPublic:
    """Return the owner's job as it is now. Raises JobNotFound."""
    with transaction() as session:
        return explain(session, get_job(session, ref, owner=owner))


def _begin(
    pipeline: Pipeline, given: BaseModel, owner: UUID, once: Once | None, options: dict[str, Any]
) -> JobPublic:
    with transaction() as session:
        start = partial(pipeline.start, session, given, owner=owner, **options)
        said = given.model_dump(mode="json")
        job = once.start(session, start, owner=owner, said=said) if once else start()
        return describe(session, job)
