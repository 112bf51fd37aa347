"""Pipelines: typed steps, declared once and checked at import, run as durable jobs."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, event
from sqlmodel import Session

from config.redis import announce
from models.base import now
from models.costs.budgets import cap_job, cap_of, checked
from models.jobs import hints, lifecycle, running
from models.jobs.hints import Hint
from models.jobs.plan import Json, NewStep
from models.jobs.tables import Job, StepStatus
from tasks import publisher, tracing
from tasks.declaration import Concurrency, Each, Parallel, StepFunction, each, parallel, step
from tasks.forms import NotReached, PipelineChanged, UnknownPipeline, UnknownStep, validate
from tasks.plan import Plan

REGISTRY: dict[str, "Pipeline"] = {}


class Pipeline(Plan):
    """A named sequence of steps, checked when it is declared."""

    def __init__(
        self,
        name: str,
        *parts: StepFunction | Parallel | Each,
        input: type[BaseModel],
        fused: bool = False,
        startable: bool = False,
        deadline_s: float | None = None,
        concurrency: Concurrency | None = None,
        budget_usd: float | None = None,
    ) -> None:
        """Declare the pipeline. Raises TypeError if its steps do not fit together, InvalidBudget.

        `fused`: consecutive steps of one queue run inside one task (for interactive operations).
        `startable`: may be started by `POST /jobs/{pipeline}`. `deadline_s`: from the enqueue on.
        `concurrency`: how many of its jobs with the same key are under way at once.
        `budget_usd`: what a job may spend on models, unless it is started with another budget.
        """
        super().__init__(name, parts, input, fused=fused)
        self.startable = startable
        self.deadline_s = deadline_s
        self.budget_usd = None if budget_usd is None else checked(budget_usd)
        self.concurrency = concurrency
        if concurrency:
            concurrency.check(name, input)
        REGISTRY[name] = self

    def start(
        self,
        session: Session,
        input: BaseModel,
        *,
        owner: UUID,
        priority: int = 0,
        deadline_s: float | None = None,
        public_id: str | None = None,
        parent_id: UUID | None = None,
        budget_usd: Decimal | None = None,
    ) -> Job:
        """Record a job in the caller's transaction; workers are told once that commits.

        Raises InvalidBudget.
        """
        return self._insert(
            session, self.fresh(), input, owner=owner, priority=priority, budget_usd=budget_usd,
            deadline_s=deadline_s or self.deadline_s, public_id=public_id, parent_id=parent_id,
        )  # fmt: skip

    def _insert(
        self,
        session: Session,
        steps: list[NewStep],
        input: BaseModel,
        *,
        owner: UUID,
        deadline_s: float | None,
        budget_usd: Decimal | None,
        **more: Any,
    ) -> Job:
        conn = session.connection()
        new = lifecycle.NewJob(
            pipeline=self.name,
            fingerprint=self.fingerprint,
            owner_id=owner,
            input=input.model_dump(mode="json"),
            parts=self.parts,
            fused=self.fused,
            deadline_at=now() + timedelta(seconds=deadline_s) if deadline_s else None,
            traceparent=tracing.begin(
                conn, self.name, more.get("parent_id"), more.get("forked_from")
            ),
            **(self.concurrency.place(self.name, input) if self.concurrency else {}),
            **more,
        )
        job, ready = self._record(conn, new, steps)
        if budget := budget_usd or self.budget_usd:
            cap_job(conn, job.id, budget)
        session.add(job)
        if not ready and not new.concurrency_key:  # a fork, or one that begins with `each`
            position = min(row.position for row in steps if row.status is StepStatus.PENDING)
            ready = [*lifecycle.open_first(conn, job.id, position, self.expand)]
            session.refresh(job)
        tell_after_commit(session, job.id, ready)
        return job

    def _record(
        self, conn: Connection, new: lifecycle.NewJob, steps: list[NewStep]
    ) -> tuple[Job, list[Hint | UUID]]:
        """Insert the job; return it and its ready steps, as a hint if there is room for one."""
        first = [one for one in steps if one.status is StepStatus.READY]
        alone = len(first) == 1 and not new.concurrency_key
        published = alone and publisher.reserve(first[0].queue)
        job, rows = lifecycle.insert_job(conn, new, steps, published=published)
        if published:
            return job, [hints.first_hint(rows, self.name, fused=self.fused)]
        return job, [row["id"] for row in rows if row["status"] is StepStatus.READY]

    def parse(self, input: Any) -> BaseModel:
        """Return `input` as this pipeline's input. Raises InvalidInput."""
        return validate(self.input, input)

    def resume(self, session: Session, job: Job) -> None:
        """Let a job go on from what did not succeed. Raises NotResumable, PipelineChanged."""
        if job.fingerprint != self.fingerprint:
            raise PipelineChanged()
        opened = lifecycle.resume(session.connection(), job.id, self.expand, self.dependents)
        tracing.begin_again(session.connection(), job.id, self.name)
        tell_after_commit(session, job.id, [one.step_id for one in opened])

    def retry(self, session: Session, job: Job) -> Job:
        """Start a new job with the same input and budget. Raises InvalidInput."""
        return self.start(
            session, self.parse(job.input), owner=job.owner_id, priority=job.priority,
            parent_id=job.id, budget_usd=cap_of(session.connection(), job.id),
        )  # fmt: skip

    def answer(self, session: Session, job: Job, step: str, item: str, value: Any) -> None:
        """Give a waiting step its answer. Raises NotWaiting."""
        ready = lifecycle.answer_step(session.connection(), job.id, step, item, value)
        tell_after_commit(session, job.id, [ready])

    def fork(self, session: Session, source: Job, *, step: str, edits: Json) -> Job:
        """Start a new job at `step` with a copy of all outputs before it.

        `edits`: `{"input": {…}, "outputs": {step: {…}}}` replaces parts of the copy.
        Raises UnknownStep, NotReached, InvalidInput.
        """
        if step not in self.steps:
            raise UnknownStep(step=step, steps=list(self.steps))
        at = self.steps[step].position
        if undone := running.undone_before(session.connection(), source.id, at):
            raise NotReached(step=step, undone=undone)
        input = validate(self.input, edits.get("input", source.input))
        changed = {
            name: self._edited(name, output) for name, output in edits.get("outputs", {}).items()
        }
        copied = [
            self.row(
                self.steps[row.name], StepStatus.SUCCEEDED, item_key=row.item_key,
                item_index=row.item_index, output=changed.get(row.name, row.output),
            )
            for row in running.succeeded_before(session.connection(), source.id, at)
        ]  # fmt: skip
        fresh = [self.row(spec) for spec in self.specs if spec.position >= at]
        return self._insert(
            session, copied + fresh, input, owner=source.owner_id, deadline_s=self.deadline_s,
            priority=source.priority, forked_from=source.id,
            budget_usd=cap_of(session.connection(), source.id),
        )  # fmt: skip

    def _edited(self, name: str, output: Any) -> Json:
        if name not in self.steps:
            raise UnknownStep(step=name, steps=list(self.steps))
        return validate(self.steps[name].gives, output).model_dump(mode="json")


def get_pipeline(name: str) -> Pipeline:
    """Return a declared pipeline. Raises UnknownPipeline."""
    if name not in REGISTRY:
        raise UnknownPipeline(pipeline=name)
    return REGISTRY[name]


def get_startable(name: str) -> Pipeline:
    """Return a pipeline that people may start by its name. Raises UnknownPipeline."""
    found = get_pipeline(name)
    if not found.startable:
        raise UnknownPipeline(pipeline=name)
    return found


def tell_after_commit(session: Session, job_id: UUID, ready: Sequence[Hint | UUID]) -> None:
    """Once the session commits, send the steps' hints and tell whoever follows the job."""

    def tell(_: Session) -> None:
        publisher.submit(ready)
        announce(job_id)

    event.listen(session, "after_commit", tell, once=True)


__all__ = [
    "REGISTRY", "Concurrency", "Pipeline", "each", "get_pipeline", "get_startable", "parallel",
    "step", "tell_after_commit",
]  # fmt: skip
