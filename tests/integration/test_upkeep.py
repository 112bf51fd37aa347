"""The platform's own upkeep: what it deletes, and what it leaves alone."""

import os
import time
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import select

from config.blobs import BlobStore
from config.db import transaction
from models.accounts import SYSTEM_USER_ID
from models.base import new_id, now
from models.blobs import hold_blob, unreferenced
from models.books.library import Book
from models.jobs.queries import job_output
from models.jobs.tables import Job, JobStatus, step
from models.schedules import keeping
from models.schedules.tables import FireStatus, Schedule, ScheduleFire
from models.webhooks.tables import DeliveryStatus, Webhook, WebhookDelivery
from pipelines.books.sweep_indexes import SweepIndexes, sweep_indexes
from pipelines.upkeep.prune_blobs import PruneBlobs, prune_blobs
from pipelines.upkeep.prune_jobs import PruneJobs, prune_jobs
from tasks import firing
from tasks.adapters.vectors import PgVectors
from tasks.pipeline import Pipeline
from tasks.tools import Passage
from tests.inline import drain
from tests.pipelines import OWNER, Numbers, fan, halves

OLD = now() - timedelta(days=40)


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has an owner."""


def run(pipeline: Pipeline, input: object) -> dict[str, object]:
    with transaction() as session:
        job = pipeline.start(session, pipeline.parse(input), owner=SYSTEM_USER_ID)
    drain()
    with transaction() as session:
        output = job_output(session.connection(), job.id)
    assert output is not None
    return output


def test_old_jobs_fires_and_deliveries_are_forgotten_and_new_ones_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.jobs.retention.BATCH", 2)
    with transaction() as session:
        for age in (OLD, OLD, OLD, now()):
            job = fan.start(session, Numbers(), owner=OWNER)
            job.status, job.finished_at = JobStatus.CANCELLED, age
        row = Schedule(
            owner_id=OWNER, name="a", pipeline="tests.fan", input={}, every_s=9, anchor=now()
        )
        hook = Webhook(owner_id=OWNER, url="https://a.example/", events=[])
        session.add_all([row, hook])
        session.flush()
        for age in (OLD, now()):
            session.add(
                ScheduleFire(
                    schedule_id=row.id, scheduled_for=age, fired_at=age, status=FireStatus.SKIPPED
                )
            )
            session.add(
                WebhookDelivery(
                    id=new_id(), webhook_id=hook.id, job_id=job.id, event="job.failed", body={},
                    status=DeliveryStatus.FAILED, created_at=age,
                )
            )  # fmt: skip

    told = run(prune_jobs, PruneJobs())

    assert told == {"jobs": 3, "idempotency_keys": 0, "fires": 1, "deliveries": 1}
    with transaction() as session:
        kept = select(Job.id).where(Job.pipeline == "tests.fan")
        assert len(session.exec(kept).all()) == 1


def test_blobs_that_nobody_claims_are_deleted_after_a_day() -> None:
    store = BlobStore()
    young, old, held = (store.put(os.urandom(20)) for _ in range(3))
    with transaction() as session:
        hold_blob(session, held, owner=OWNER, purpose="a test")
    ago = time.time() - 2 * 86_400
    for blob in (old, held):
        os.utime(store._path(blob.key), (ago, ago))

    assert run(prune_blobs, PruneBlobs()) == {"blobs": 1}
    assert [store.exists(blob.key) for blob in (young, old, held)] == [True, False, True]


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        (JobStatus.RUNNING, True),
        (JobStatus.FAILED, True),
        (JobStatus.SUCCEEDED_DEGRADED, True),
        (JobStatus.SUCCEEDED, False),
    ],
)
def test_blobs_that_a_job_may_go_on_with_stay(status: JobStatus, kept: bool) -> None:
    store = BlobStore()
    output, checkpoint = (store.put(os.urandom(20)) for _ in range(2))
    ago = time.time() - 2 * 86_400
    for blob in (output, checkpoint):
        os.utime(store._path(blob.key), (ago, ago))
    with transaction() as session:
        job = halves.start(session, Numbers(), owner=OWNER)
        job.status, job.finished_at = status, None if status is JobStatus.RUNNING else now()
        told = {"output": {"text": output.model_dump()}, "checkpoint": {"at": checkpoint.key}}
        session.connection().execute(update(step).where(step.c.job_id == job.id).values(**told))

    with transaction() as session:
        unneeded = unreferenced(session, store.keys(), older_than=timedelta(days=1))

    ours = {output.key, checkpoint.key}
    assert unneeded & ours == (set() if kept else ours)


def add_book(read_at: timedelta, *, live: int, last: int) -> UUID:
    with transaction() as session:
        job = fan.start(session, Numbers(), owner=OWNER)
        job.status, job.finished_at = JobStatus.FAILED, now() - read_at
        book = Book(
            owner_id=OWNER, title="a", slug="a", job_id=job.id, index_version=live,
            last_version=last,
        )  # fmt: skip
        session.add(book)
        session.flush()
        for version in range(1, last + 1):
            passage = Passage(id="a", text="a", index=0)
            PgVectors().upsert(book.collection(version), [passage], [[1.0, 0.0]])
        return book.id


def versions(book_id: UUID) -> list[int]:
    return [one for one in range(1, 9) if PgVectors().count(f"{book_id}_v{one}")]


def test_versions_that_nothing_reads_are_dropped_a_day_later() -> None:
    settled = add_book(timedelta(days=2), live=3, last=5)
    fresh = add_book(timedelta(hours=2), live=3, last=5)

    told = run(sweep_indexes, SweepIndexes())

    assert told == {"collections": 2}
    assert versions(settled) == [3, 4, 5]  # the later ones may be gone on with
    assert versions(fresh) == [1, 2, 3, 4, 5]


def test_the_upkeep_is_scheduled_once_and_runs() -> None:
    firing.ensure_all_upkeep()
    firing.ensure_all_upkeep()
    with transaction() as session:
        rows = keeping.list_schedules(session, owner=SYSTEM_USER_ID, before=None, limit=50)
    names = {row.name for row in rows}
    assert len(rows) == len(names)
    assert names == {
        "upkeep.prune_jobs", "upkeep.prune_blobs", "upkeep.settle_costs", "books.sweep_indexes",
        "books.renew_indexes", "goals.reindex_articles",
    }  # fmt: skip

    firing.tick(now() + timedelta(days=2))
    drain()

    with transaction() as session:
        ended = {job.pipeline: job.status for job in session.exec(select(Job))}
    assert ended == dict.fromkeys(names, JobStatus.SUCCEEDED)
