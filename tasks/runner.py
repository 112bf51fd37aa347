"""Carries out one hint: claim the step, run its function, record what came of it.

claim ──► gather arguments ──► run ──► complete ──► publish what follows
  │ lost                        │ Unavailable → retry · DomainError → fail
  └► return                     └ Cancelled · HandedOver · AwaitingAnswer → recorded as such
"""

import logging
import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from config.db import connection, single_statement, transaction
from config.logging import about
from config.redis import announce
from config.settings import settings
from models.errors import DomainError, Unavailable
from models.jobs import claims, dispatch, running, transitions
from models.jobs.claims import Advanced, Claim, Superseded, Taker
from models.jobs.plan import Json, Opened
from models.jobs.tables import StepStatus
from tasks import node, publisher
from tasks.declaration import Kind, Spec, item_type
from tasks.failpoints import failpoint
from tasks.pipeline import Pipeline
from tasks.progress import (
    Ask,
    Attempt,
    AwaitingAnswer,
    Cancelled,
    Checkpoint,
    HandedOver,
    JobRef,
    Progress,
    Stopped,
)  # fmt: skip
from tasks.streams import Tokens
from tasks.toolbox import TOOLS

logger = logging.getLogger(__name__)
T = TypeVar("T")

RECORD_FOR_S = 120.0  # how long a finished attempt waits for Postgres to take its result
ELSEWHERE_S = 1.0  # a step of another version of its pipeline waits so long for another worker


def carry_out(pipeline: Pipeline, spec: Spec, job_id: UUID, step_id: UUID, generation: int) -> bool:
    """Run a step, and in a fused pipeline those that follow it on the same queue.

    Returns whether the Celery chain may go on: not after a lost claim or a step without success.
    """
    failpoint("before_claim")
    claim = _claim(pipeline, spec, job_id, step_id, generation)
    if claim is None:
        return _succeeded_already(pipeline, step_id)
    known: dict[Any, Any] = {}
    while True:
        announce(job_id)
        failpoint("claimed")
        with about(job=job_id, step=claim.name):
            after = _attempt(pipeline, pipeline.steps[claim.name], claim, known)
        announce(job_id)
        if after is None:
            publisher.refill(claim.queue)
            return False
        failpoint("completed")
        publisher.submit(one.step_id for one in after.opened if not one.in_chain)
        if after.taken is None:
            if not any(one.in_chain for one in after.opened):
                publisher.refill(claim.queue)
            return True
        claim = after.taken


def _claim(
    pipeline: Pipeline, spec: Spec, job_id: UUID, step_id: UUID, generation: int
) -> Claim | None:
    with single_statement() as conn:
        return claims.claim(
            conn,
            job_id,
            step_id,
            generation,
            fingerprint=pipeline.fingerprint,
            taker=_taker(),
            needs=pipeline.singles(spec),
        )


def _taker() -> Taker:
    return Taker(
        node=node.current_id(),
        pid=os.getpid(),
        lease_s=settings.engine.dead_after_s,
        idle_s=settings.engine.idle_s,
    )


def _succeeded_already(pipeline: Pipeline, step_id: UUID) -> bool:
    """Look why the claim was lost; a step of another version is left to another worker."""
    with connection() as conn:
        state = running.step_state(conn, step_id)
        if state is not None and state.status == StepStatus.READY:
            dispatch.put_back(
                conn, step_id, unless_fingerprint=pipeline.fingerprint, delay_s=ELSEWHERE_S
            )
    return state is not None and state.status == StepStatus.SUCCEEDED


def _attempt(
    pipeline: Pipeline, spec: Spec, claim: Claim, known: dict[Any, Any]
) -> Advanced | None:
    """Run one attempt and record its end. Returns what came after it; None without success."""
    attempt = Attempt(claim, idle_s=spec.options.idle_s or settings.engine.idle_s)
    tokens = _tokens(spec, claim, attempt)
    try:
        arguments = _arguments(pipeline, spec, claim, attempt, tokens, known)
        if spec.kind is Kind.WRITING:
            output, after = _write(pipeline, spec, claim, arguments)
        else:
            output = _checked(spec, spec.function(**arguments))
            failpoint("ran")
            after = _complete(pipeline, claim, output, tokens)
        known[spec.result] = output
        return after
    except Superseded:
        logger.info("%s.%s of job %s has a newer attempt", pipeline.name, spec.name, claim.job_id)
    except Stopped as stop:
        _keep(tokens)
        _record(claim, partial(_stop, pipeline, claim, stop))
    except Exception as error:  # whatever a step raises must end in the database
        _keep(tokens)
        _record(claim, partial(_fail, pipeline, claim, error))
    finally:
        if tokens is not None:
            tokens.close()
    return None


def _tokens(spec: Spec, claim: Claim, attempt: Attempt) -> Tokens | None:
    if not spec.streams:
        return None
    return Tokens(claim.job_id, claim.step_id, epoch=claim.epoch, check=attempt.check)


def _arguments(
    pipeline: Pipeline,
    spec: Spec,
    claim: Claim,
    attempt: Attempt,
    tokens: Tokens | None,
    known: dict[Any, Any],
) -> dict[str, Any]:
    """Return what the step's parameters ask for by type; the session is added by `_write`."""
    made: dict[Any, Any] = {
        pipeline.input: pipeline.input.model_validate(claim.input),
        JobRef: JobRef(claim.job_id, claim.owner_id),
        Progress: Progress(attempt),
        Checkpoint: Checkpoint(attempt),
        Ask: Ask(attempt),
        Tokens: tokens,
    }
    known.update(pipeline.parsed(claim.outputs))
    missing = [source for source in pipeline.sources(spec) if source not in known]
    if missing:
        with connection() as conn:
            known.update(pipeline.load(conn, claim.job_id, missing))
    made.update(known)
    if spec.each:
        items = getattr(made[spec.each.over], spec.each.items)
        made[item_type(spec.each)] = items[claim.item_index]
    made.update({tool: TOOLS[tool].provide() for tool in spec.needs.values() if tool in TOOLS})
    return {name: made[type_] for name, type_ in spec.needs.items() if type_ is not Session}


def _checked(spec: Spec, output: BaseModel) -> BaseModel:
    if not isinstance(output, spec.gives):
        raise TypeError(f"{spec.name} returned {type(output).__name__}, not {spec.gives.__name__}")
    return output


def _write(
    pipeline: Pipeline, spec: Spec, claim: Claim, arguments: dict[str, Any]
) -> tuple[BaseModel, Advanced]:
    """Run a writing step and record its success in the same transaction."""
    session_parameter = next(n for n, type_ in spec.needs.items() if type_ is Session)

    def run(session: Session) -> tuple[BaseModel, Advanced]:
        output = _checked(spec, spec.function(**arguments, **{session_parameter: session}))
        session.flush()
        failpoint("ran")
        return output, _complete_in(session.connection(), pipeline, claim, output)

    result = _durably(claim, lambda: _in_transaction(run))
    if result is None:  # the commit was applied although it raised
        with connection() as conn:
            output = pipeline.load(conn, claim.job_id, [spec.result])[spec.result]
        return output, _found_taken(claim)
    return result


def _in_transaction(run: Callable[[Session], T]) -> T:
    with transaction() as session:
        return run(session)


def _keep(tokens: Tokens | None) -> None:
    """Store what an attempt has streamed before it ends without success."""
    if tokens is not None:
        tokens.abandon()


def _complete(
    pipeline: Pipeline, claim: Claim, output: BaseModel, tokens: Tokens | None
) -> Advanced:
    """Record the success of a step that was paid for; it is not lost to a restart of Postgres.

    The rest of its stream is stored in the same transaction.
    """
    if tokens is not None:
        tokens.end()

    def run() -> Advanced:
        if tokens is None:
            with single_statement() as conn:
                if after := _advance(conn, pipeline, claim, output):
                    return after
        with connection() as conn:
            if tokens is not None:
                tokens.store(conn)
            return _complete_in(conn, pipeline, claim, output)

    return _durably(claim, run) or _found_taken(claim)


def _complete_in(conn: Connection, pipeline: Pipeline, claim: Claim, output: BaseModel) -> Advanced:
    if after := _advance(conn, pipeline, claim, output):
        return after
    told = output.model_dump(mode="json")
    return Advanced(transitions.complete(conn, claim, told, pipeline.expand), None)


def _advance(
    conn: Connection, pipeline: Pipeline, claim: Claim, output: BaseModel
) -> Advanced | None:
    told = output.model_dump(mode="json")
    return claims.advance(conn, claim, told, taker=_taker(), take=pipeline.fused)


def _found_taken(claim: Claim) -> Advanced:
    """Read back what a commit that raised has taken for us after all."""
    with connection() as conn:
        return Advanced([], claims.taken_after(conn, claim, taker=_taker()))


def _durably(claim: Claim, run: Callable[[], T]) -> T | None:
    """Run a transaction until Postgres has taken it. None: it had, though the commit raised.

    Raises Superseded when the step meanwhile belongs to somebody else.
    """
    give_up = time.monotonic() + RECORD_FOR_S
    while True:
        try:
            return run()
        except DBAPIError as error:
            if not error.connection_invalidated or time.monotonic() > give_up:
                raise
        time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 — jitter, no secret
        try:
            with connection() as conn:
                state = running.step_state(conn, claim.step_id)
        except DBAPIError:
            continue
        if state is None or state.epoch != claim.epoch:
            raise Superseded
        if state.status != StepStatus.RUNNING:
            return None


def _record(claim: Claim, write: Callable[[Connection], list[Opened] | None]) -> None:
    """Record an end other than success; a newer attempt makes it void."""

    def run() -> list[Opened]:
        with connection() as conn:
            return write(conn) or []

    try:
        opened = _durably(claim, run)
    except Superseded:
        return
    publisher.submit(one.step_id for one in opened or [])


def _stop(pipeline: Pipeline, claim: Claim, stop: Stopped, conn: Connection) -> None:
    if isinstance(stop, Cancelled):
        transitions.confirm_cancel(conn, claim, pipeline.expand)
    elif isinstance(stop, HandedOver):
        transitions.hand_over(conn, claim)
    elif isinstance(stop, AwaitingAnswer):
        transitions.wait_for_answer(conn, claim, stop.question)


def _fail(
    pipeline: Pipeline, claim: Claim, error: Exception, conn: Connection
) -> list[Opened] | None:
    told = _told(error, claim)
    passing = isinstance(error, (Unavailable, DBAPIError, OSError))
    if passing and claim.attempt < claim.max_attempts:
        transitions.retry(conn, claim, told, delay_s=_delay_s(error, claim.attempt))
        return None
    return transitions.fail(conn, claim, told, pipeline.expand)


def _told(error: Exception, claim: Claim) -> Json:
    """Return an error as people see it; the unexpected is named, not quoted: it may be secret."""
    if isinstance(error, DomainError):
        return {"code": error.code, "message": str(error)} | (
            {"details": error.details} if error.details else {}
        )
    logger.error("%s of job %s failed", claim.name, claim.job_id, exc_info=error)
    if isinstance(error, (DBAPIError, OSError)):
        return {"code": "unavailable", "message": f"A connection failed: {type(error).__name__}."}
    return {
        "code": "internal",
        "message": f"The step failed unexpectedly ({type(error).__name__}).",
    }


def _delay_s(error: Exception, attempt: int) -> float:
    """Return the wait before the next attempt: exponential with full jitter, or as we were told.

    Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    asked = error.retry_after_s if isinstance(error, Unavailable) else None
    bound = min(settings.engine.retry_max_s, settings.engine.retry_base_s * 2 ** (attempt - 1))
    jittered = random.uniform(0, bound)  # noqa: S311 — jitter, no secret
    return jittered if asked is None else max(asked, jittered)
