"""What jobs cost, and what they may."""

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Owner, SessionDep
from api.dialects import speaking
from models.costs.budgets import Usd, cap_job
from models.costs.reading import JobCost, job_cost
from models.jobs.queries import get_job

router = APIRouter(tags=["jobs"], **speaking("engine"))


class JobBudget(BaseModel):
    """What a job may spend on models, all in all."""

    usd: Usd


@router.get("/jobs/{job_id}/cost")
def read_cost(job_id: str, session: SessionDep, owner: Owner) -> JobCost:
    """What the job has spent on models, by step and model, and what is left of its budgets.

    A call under way, or one whose worker died, counts as its estimate until it is settled.
    """
    return job_cost(session, get_job(session, job_id, owner=owner))


@router.put("/jobs/{job_id}/budget")
def change_budget(job_id: str, body: JobBudget, session: SessionDep, owner: Owner) -> JobCost:
    """Say what the job may spend on models; one that failed for its budget may then be resumed."""
    job = get_job(session, job_id, owner=owner)
    cap_job(session.connection(), job.id, body.usd)
    return job_cost(session, job)
