"""What a job has cost, as its owner sees it."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection, func, or_, select
from sqlmodel import Session

from models.costs.budgets import BudgetsPublic, budgets_of
from models.costs.tables import model_call
from models.jobs.tables import Job, job


class Cost(BaseModel):
    """A sum of paid calls. Models that run in our own processes cost nothing and are not in it."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # of the prompts', read from the provider's cache
    cost_microusd: int = 0  # of the calls whose price is known
    unpriced: int = 0  # calls whose price is not
    estimated: int = 0  # calls whose tokens we counted: the provider did not say
    unsettled: int = 0  # calls under way, or of a worker that died; they count as their estimate


class CostLine(Cost):
    """What one step has spent on one model."""

    step: str
    model: str
    purpose: str


class RelatedCost(Cost):
    """What another job has spent that began from this one."""

    job_id: UUID
    relation: Literal["fork", "child"]


class JobCost(BaseModel):
    """What a job has cost: all in all, by step and model, and what is left of its budgets."""

    job_id: UUID
    total: Cost
    lines: list[CostLine]
    related: list[RelatedCost]
    budgets: BudgetsPublic


_sums = (
    func.count().label("calls"),
    func.sum(model_call.c.prompt_tokens).label("prompt_tokens"),
    func.sum(model_call.c.completion_tokens).label("completion_tokens"),
    func.sum(model_call.c.cached_tokens).label("cached_tokens"),
    func.coalesce(func.sum(model_call.c.cost_microusd), 0).label("cost_microusd"),
    func.count().filter(model_call.c.cost_microusd.is_(None)).label("unpriced"),
    func.count().filter(model_call.c.estimated).label("estimated"),
    func.count().filter(model_call.c.settled_at.is_(None)).label("unsettled"),
)


def job_cost(session: Session, found: Job) -> JobCost:
    """Return what a job has cost so far, and jobs that began from it."""
    conn = session.connection()
    columns = (model_call.c.step, model_call.c.model, model_call.c.purpose)
    query = select(*columns, *_sums).where(model_call.c.job_id == found.id).group_by(*columns)
    rows = conn.execute(query.order_by(func.min(model_call.c.at), *columns))
    lines = [CostLine(**row._mapping) for row in rows]
    return JobCost(
        job_id=found.id,
        total=_total(lines),
        lines=lines,
        related=_related(conn, found),
        budgets=budgets_of(conn, job_id=found.id, owner=found.owner_id),
    )


def _total(lines: list[CostLine]) -> Cost:
    names = Cost.model_fields
    return Cost(**{name: sum(getattr(line, name) for line in lines) for name in names})


def _related(conn: Connection, found: Job) -> list[RelatedCost]:
    """Return what forks and retries of a job have cost, those that called a model."""
    query = (
        select(job.c.id.label("job_id"), job.c.forked_from, *_sums)
        .join(model_call, model_call.c.job_id == job.c.id)
        .where(
            job.c.owner_id == found.owner_id,
            or_(job.c.forked_from == found.id, job.c.parent_id == found.id),
        )
        .group_by(job.c.id)
        .order_by(job.c.id)
    )
    told: list[RelatedCost] = []
    for row in conn.execute(query):
        values: dict[str, Any] = dict(row._mapping)
        is_fork = values.pop("forked_from") == found.id
        told.append(RelatedCost(relation="fork" if is_fork else "child", **values))
    return told
