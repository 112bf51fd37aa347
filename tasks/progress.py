"""What the engine itself hands to a running step, and the ways in which a step is stopped."""

import mmap
import time
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from sqlalchemy.exc import DBAPIError

from config.db import single_statement
from config.redis import announce
from config.settings import settings
from models.jobs import running
from models.jobs.claims import Claim
from models.jobs.plan import Json

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

PROGRESS_INTERVAL_S = 0.25  # at most four reports a second and step reach the log


class Flag:
    """A flag that a process shares with the children it forks.

    One byte of shared memory, without a lock: a lock that a killed child held would hold up the
    rest for ever, and a signal handler may not wait for one.
    """

    def __init__(self) -> None:
        """Begin with the flag down."""
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Raise the flag, here and in all children."""
        self._byte[0] = 1

    def clear(self) -> None:
        """Take the flag down again, here and in all children."""
        self._byte[0] = 0

    def is_set(self) -> bool:
        """Say whether the flag is up."""
        return self._byte[0] == 1


draining = Flag()  # up when this worker is asked to leave


class Stopped(BaseException):
    """The step must end now. Not an `Exception`, so that no step swallows it."""


class Cancelled(Stopped):
    """Somebody asked the job to stop."""


class HandedOver(Stopped):
    """This worker is leaving; another one takes the step."""


class AwaitingAnswer(Stopped):
    """A person has to answer before the step can go on."""

    def __init__(self, question: Json) -> None:
        """Keep the question as it is shown to the person."""
        super().__init__(question)
        self.question = question


class RateLimited(Stopped):
    """A provider takes no more for now; the step is given back until it does."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Keep what to tell people, and after how many seconds to try again."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class JobRef:
    """Which job a step belongs to, and whose it is; ids are derived from it."""

    id: UUID
    owner_id: UUID


class Attempt:
    """The running attempt's line to the engine: reports out, requests to stop in."""

    def __init__(self, claim: Claim, *, idle_s: float) -> None:
        """Stand for `claim`; silence longer than `idle_s` seconds loses the step."""
        self.claim = claim
        self._idle_s = idle_s
        self._checked = time.monotonic()
        self._reported = 0.0
        self.reports = 0

    def check(self) -> None:
        """Raise Cancelled, HandedOver or Superseded if this attempt has to end.

        Cheap enough for every token: Postgres is asked once in `cancel_poll_s`.
        """
        if draining.is_set():
            raise HandedOver
        at = time.monotonic()
        if at - self._checked < settings.engine.cancel_poll_s:
            return
        self._checked = at
        try:
            with single_statement() as conn:
                stop = running.should_stop(conn, self.claim, idle_s=self._idle_s)
        except DBAPIError:
            return  # Postgres is away; the step may as well go on meanwhile
        if stop:
            raise Cancelled

    def report(self, done: float, total: float, message: str) -> None:
        """Record progress, at most every PROGRESS_INTERVAL_S and always at the end.

        A step that has done all of its units is not handed over for what is left of it.
        """
        at = time.monotonic()
        if at - self._reported < PROGRESS_INTERVAL_S and done < total:
            self.check()
            return
        self._reported = self._checked = at
        self.reports += 1
        if draining.is_set() and done < total:
            raise HandedOver
        try:
            with single_statement() as conn:
                stop = running.report_progress(
                    conn, self.claim, done, total, message, idle_s=self._idle_s
                )
        except DBAPIError:
            return  # as above
        announce(self.claim.job_id)
        if stop:
            raise Cancelled


class Progress:
    """Tells whoever is watching how far this step has come, in real units."""

    def __init__(self, attempt: Attempt) -> None:
        """Report for `attempt`."""
        self._attempt = attempt

    def __call__(self, done: float, total: float, message: str = "") -> None:
        """Report `done` of `total` units. A step that is to stop ends here."""
        self._attempt.report(done, total, message)


class Checkpoint:
    """A step's small state, given back to its next attempt."""

    def __init__(self, attempt: Attempt) -> None:
        """Start from what an earlier attempt has saved."""
        self._attempt = attempt
        self._state = attempt.claim.checkpoint

    def load(self, form: type[M]) -> M | None:
        """Return what was saved last, or None."""
        return None if self._state is None else form.model_validate(self._state)

    def save(self, state: BaseModel) -> None:
        """Keep `state` from now on. A step that is to stop ends here."""
        self._state = state.model_dump(mode="json")
        with single_statement() as conn:
            running.save_checkpoint(conn, self._attempt.claim, self._state)
        self._attempt.check()


class Ask:
    """Asks a person. The step ends and holds no worker until there is an answer."""

    def __init__(self, attempt: Attempt) -> None:
        """Ask on behalf of `attempt`."""
        self._attempt = attempt

    def __call__(self, question: str, form: type[T], **context: Any) -> T:
        """Return the person's answer as `form`; the first call ends the attempt.

        `context` is shown with the question. An answer that does not fit is asked for again.
        """
        given = self._attempt.claim.answer
        adapter = TypeAdapter(form)
        if given is not None:
            try:
                return adapter.validate_python(given["value"])
            except ValueError as error:
                context = context | {"problem": str(error)}
        raise AwaitingAnswer(
            {"question": question, "schema": adapter.json_schema(), "context": context}
        )
