"""Records how an attempt has ended, however long Postgres takes to hear it."""

import logging
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from config.db import connection, is_away, single_statement
from config.settings import settings
from models.errors import DomainError, Unavailable
from models.jobs import claims, running, transitions
from models.jobs.claims import Advanced, Claim, Superseded, Taker
from models.jobs.plan import Json, Opened
from models.jobs.tables import StepStatus
from tasks import node, publisher, tracing
from tasks.pipeline import Pipeline
from tasks.progress import AwaitingAnswer, Cancelled, HandedOver, RateLimited, Stopped
from tasks.streams import Tokens

logger = logging.getLogger(__name__)
T = TypeVar("T")

RATE_LIMITED = "provider_rate_limited"
SPREAD = 1.5  # those whom a provider's limit has sent away do not all come back at once
ANSWER_LOST: Json = {"code": "unavailable", "message": "The connection failed as it was claimed."}
AWAY = (DBAPIError, PoolTimeout)  # how Postgres says that it is not there
RECORD_FOR_S = 120.0  # how long a finished attempt waits for Postgres to take its result


def taker() -> Taker:
    """Return who takes steps here, and for how long."""
    return Taker(
        node=node.current_id(),
        pid=os.getpid(),
        lease_s=settings.engine.dead_after_s,
        idle_s=settings.engine.idle_s,
    )


def keep(tokens: Tokens | None) -> None:
    """Store what an attempt has streamed before it ends without success."""
    if tokens is not None:
        tokens.abandon()


def complete(
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
            return complete_in(conn, pipeline, claim, output)

    return durably(claim, run) or found_taken(claim)


def complete_in(conn: Connection, pipeline: Pipeline, claim: Claim, output: BaseModel) -> Advanced:
    """Record a success in the transaction of `conn`. Raises Superseded."""
    if after := _advance(conn, pipeline, claim, output):
        return after
    told = output.model_dump(mode="json")
    return Advanced(transitions.complete(conn, claim, told, pipeline.expand), None)


def _advance(
    conn: Connection, pipeline: Pipeline, claim: Claim, output: BaseModel
) -> Advanced | None:
    told = output.model_dump(mode="json")
    return claims.advance(conn, claim, told, taker=taker(), take=pipeline.fused)


def found_taken(claim: Claim) -> Advanced:
    """Read back what a commit that raised has taken for us after all."""
    with connection() as conn:
        return Advanced([], claims.taken_after(conn, claim, taker=taker()))


def durably(claim: Claim, run: Callable[[], T]) -> T | None:
    """Run a transaction until Postgres has taken it. None: it had, though the commit raised.

    Raises Superseded when the step meanwhile belongs to somebody else.
    """
    give_up = time.monotonic() + RECORD_FOR_S
    while True:
        try:
            return run()
        except AWAY as error:
            if not is_away(error) or time.monotonic() > give_up:
                raise
        time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 — jitter, no secret
        try:
            with connection() as conn:
                state = running.step_state(conn, claim.step_id)
        except AWAY:
            continue
        if state is None or state.epoch != claim.epoch:
            raise Superseded
        if state.status != StepStatus.RUNNING:
            return None


in_hand: set[tuple[UUID, int]] = set()  # step and epoch of the attempts of this process


def undo_claim(pipeline: Pipeline, step_id: UUID) -> None:
    """Give a step back that was taken although the answer was lost.

    Its node lives and renews the lease; without this it would be nobody's until it has idled.
    """

    def run() -> list[Opened]:
        with connection() as conn:
            row = running.held_step(conn, step_id, taker())
            if row is None or (row.id, row.epoch) in in_hand:
                return []  # it was not applied, or another thread has it
            return transitions.release(conn, row, ANSWER_LOST, pipeline.expand)

    give_up = time.monotonic() + RECORD_FOR_S
    while time.monotonic() < give_up:
        time.sleep(random.uniform(0.1, 1.0))  # noqa: S311 — jitter, no secret
        with suppress(*AWAY, Superseded):
            publisher.submit(one.step_id for one in run())
            return


def record(claim: Claim, write: Callable[[Connection], list[Opened] | None]) -> None:
    """Record an end other than success; a newer attempt makes it void."""

    def run() -> list[Opened]:
        with connection() as conn:
            return write(conn) or []

    try:
        opened = durably(claim, run)
    except Superseded:
        return
    publisher.submit(one.step_id for one in opened or [])


def stop_at(pipeline: Pipeline, claim: Claim, stop: Stopped, conn: Connection) -> None:
    """Record that a step stopped where it was asked to, or asked somebody itself."""
    if isinstance(stop, Cancelled):
        transitions.confirm_cancel(conn, claim, pipeline.expand)
    elif isinstance(stop, HandedOver):
        transitions.hand_over(conn, claim)
    elif isinstance(stop, AwaitingAnswer):
        transitions.wait_for_answer(conn, claim, stop.question)
    elif isinstance(stop, RateLimited):
        told = {"code": RATE_LIMITED, "message": str(stop)}
        delay_s = stop.retry_after_s * random.uniform(1, SPREAD)  # noqa: S311 — jitter, no secret
        transitions.retry(conn, claim, told, delay_s=delay_s, uncount=True)


def fail(
    pipeline: Pipeline, claim: Claim, error: Exception, conn: Connection
) -> list[Opened] | None:
    """Record a failure: the step is tried again, if that may help, or has failed."""
    told = _told(error, claim)
    passing = isinstance(error, (Unavailable, OSError, *AWAY))
    if passing and claim.attempt < claim.max_attempts:
        tracing.note_end("retried", error)
        delay_s = _delay_s(error, claim.attempt)
        transitions.retry(conn, claim, told, delay_s=delay_s)
        return None
    tracing.note_end("failed", error)
    return transitions.fail(conn, claim, told, pipeline.expand)


def _told(error: Exception, claim: Claim) -> Json:
    """Return an error as people see it; the unexpected is named, not quoted: it may be secret."""
    if isinstance(error, DomainError):
        return {"code": error.code, "message": str(error)} | (
            {"details": error.details} if error.details else {}
        )
    logger.error("%s of job %s failed", claim.name, claim.job_id, exc_info=error)
    if isinstance(error, OSError) or is_away(error):
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
