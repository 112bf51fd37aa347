"""Carries out one hint: claim the step, run its function, record what came of it.

claim ──► gather arguments ──► run ──► complete ──► publish what follows
  │ lost                        │ Unavailable → retry · DomainError → fail
  └► return                     └ Cancelled · HandedOver · AwaitingAnswer → recorded as such
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from config.db import connection, single_statement, transaction
from config.logging import about
from config.redis import announce
from config.settings import settings
from models.jobs import claims, dispatch, running
from models.jobs.claims import Advanced, Claim, Superseded
from models.jobs.tables import StepStatus
from tasks import publisher, tracing
from tasks.declaration import Each, Kind, Spec, item_type
from tasks.failpoints import failpoint
from tasks.pipeline import Pipeline
from tasks.progress import (
    Ask,
    Attempt,
    Checkpoint,
    HandedOver,
    JobRef,
    Progress,
    Stopped,
    draining,
)  # fmt: skip
from tasks.record import (
    complete,
    complete_in,
    durably,
    fail,
    found_taken,
    in_hand,
    keep,
    record,
    stop_at,
    taker,
    undo_claim,
)  # fmt: skip
from tasks.spending import charged_to
from tasks.streams import Tokens
from tasks.toolbox import TOOLS

logger = logging.getLogger(__name__)
T = TypeVar("T")

ELSEWHERE_S = 1.0  # a step of another version of its pipeline waits so long for another worker


def carry_out(pipeline: Pipeline, spec: Spec, job_id: UUID, step_id: UUID, generation: int) -> bool:
    """Run a step, and in a fused pipeline those that follow it on the same queue.

    Returns whether the Celery chain may go on: not after a lost claim or a step without success.
    """
    failpoint("before_claim", spec.name)
    if draining.is_set():
        with connection() as conn:
            dispatch.hand_back(conn, step_id, generation)
        return False
    claim = _claim(pipeline, spec, job_id, step_id, generation)
    if claim is None:
        return _succeeded_already(pipeline, step_id)
    known: dict[Any, Any] = {}
    while True:
        announce(job_id)
        failpoint("claimed", claim.name)
        with about(job=job_id, step=claim.name), tracing.attempt(claim, taker().node):
            after = _attempt(pipeline, pipeline.steps[claim.name], claim, known)
        announce(job_id)
        if after is None:
            publisher.refill(claim.queue)
            return False
        failpoint("completed", claim.name)
        publisher.submit(one.step_id for one in after.opened if not one.in_chain)
        if after.taken is None:
            if not any(one.in_chain for one in after.opened):
                publisher.refill(claim.queue)
            return True
        claim = after.taken


def _claim(
    pipeline: Pipeline, spec: Spec, job_id: UUID, step_id: UUID, generation: int
) -> Claim | None:
    try:
        with single_statement() as conn:
            return claims.claim(
                conn,
                job_id,
                step_id,
                generation,
                fingerprint=pipeline.fingerprint,
                taker=taker(),
                needs=pipeline.singles(spec),
                over=pipeline.over(spec),
            )
    except DBAPIError as error:
        if error.connection_invalidated:
            undo_claim(pipeline, step_id)
        raise


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
    in_hand.add((claim.step_id, claim.epoch))
    try:
        if draining.is_set():
            raise HandedOver
        arguments = _arguments(pipeline, spec, claim, attempt, tokens, known)
        if spec.kind is Kind.WRITING:
            output, after = _write(pipeline, spec, claim, arguments)
        else:
            with charged_to(attempt):
                output = _checked(spec, spec.function(**arguments))
            failpoint("ran", spec.name)
            after = complete(pipeline, claim, output, tokens)
        known[spec.result] = output
        return after
    except Superseded as lost:
        tracing.note_end(lost)
        logger.info("%s.%s of job %s has a newer attempt", pipeline.name, spec.name, claim.job_id)
    except Stopped as stop:
        tracing.note_end(stop)
        keep(tokens)
        record(claim, partial(stop_at, pipeline, claim, stop))
    except Exception as error:  # whatever a step raises must end in the database
        keep(tokens)
        record(claim, partial(fail, pipeline, claim, error))
    finally:
        in_hand.discard((claim.step_id, claim.epoch))
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
    missing = [source for source in pipeline.asked(spec) if source not in known]
    if missing:
        with connection() as conn:
            known.update(pipeline.load(conn, claim.job_id, missing))
    made.update(known)
    if spec.each:
        made[item_type(spec.each)] = _item(spec.each, claim, made)
    made.update({tool: TOOLS[tool].provide() for tool in spec.needs.values() if tool in TOOLS})
    return {name: made[type_] for name, type_ in spec.needs.items() if type_ is not Session}


def _item(each: Each, claim: Claim, made: dict[Any, Any]) -> BaseModel:
    if claim.item is not None:
        return item_type(each).model_validate(claim.item)
    items: list[BaseModel] = getattr(made[each.over], each.items)  # of the pipeline's input
    return items[claim.item_index]


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
        failpoint("ran", spec.name)
        return output, complete_in(session.connection(), pipeline, claim, output)

    result = durably(claim, lambda: _in_transaction(run))
    if result is None:  # the commit was applied although it raised
        with connection() as conn:
            output = pipeline.load(conn, claim.job_id, [spec.result])[spec.result]
        return output, found_taken(claim)
    return result


def _in_transaction(run: Callable[[Session], T]) -> T:
    with transaction() as session:
        return run(session)
