"""Forget jobs that are older than they are kept, and what else has served its time."""

from pydantic import BaseModel
from sqlmodel import Session

from models.jobs import retention
from models.schedules import firing
from models.webhooks import deliveries
from tasks.firing import upkeep
from tasks.pipeline import Pipeline, each

EVERY_S = 600


class PruneJobs(BaseModel):
    """Nothing needs to be said."""


class Batch(BaseModel):
    """A number of jobs to be deleted in one transaction."""

    number: int


class Old(BaseModel):
    """How many batches of old jobs there are."""

    batches: list[Batch]


class Pruned(BaseModel):
    """How many jobs of a batch were deleted; fewer if somebody else was faster."""

    jobs: int


class Tidied(BaseModel):
    """How much was deleted."""

    jobs: int
    idempotency_keys: int
    fires: int
    deliveries: int


def count_batches(wanted: PruneJobs, session: Session) -> Old:
    """See how much is to be done."""
    count = retention.count_batches(session.connection())
    return Old(batches=[Batch(number=number) for number in range(count)])


def prune_batch(batch: Batch, session: Session) -> Pruned:
    """Delete a batch of old jobs and add what they amounted to."""
    before = retention.oldest_kept()
    return Pruned(jobs=retention.prune(session.connection(), before=before))


def tidy(pruned: list[Pruned], session: Session) -> Tidied:
    """Delete old idempotency keys, fires of schedules, deliveries of webhooks."""
    old = retention.oldest_kept()
    return Tidied(
        jobs=sum(one.jobs for one in pruned),
        idempotency_keys=retention.forget_keys(session.connection()),
        fires=firing.forget_fires(session, before=old),
        deliveries=deliveries.forget_deliveries(session, before=old),
    )


prune_jobs = Pipeline(
    "upkeep.prune_jobs",
    count_batches,
    each(prune_batch, over=Old, items="batches", key="number"),
    tidy,
    input=PruneJobs,
)
upkeep(prune_jobs, every_s=EVERY_S)
