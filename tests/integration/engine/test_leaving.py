"""A worker that leaves: what its steps see, and what becomes of them."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import update

from config.db import connection, transaction
from models.jobs import claims, dispatch, hints, lifecycle, transitions
from models.jobs.claims import Claim, Taker
from models.jobs.hints import Hint
from models.jobs.steps import list_steps
from models.jobs.tables import JobStatus, StepStatus, job, step
from tasks import node
from tasks.dispatcher import WORKER_LEFT, WORKER_LOST, release_all
from tasks.pipeline import Pipeline
from tasks.progress import Attempt, HandedOver, Progress, draining
from tests import inline, pipelines
from tests.pipelines import First, Numbers, Second
from tests.stack import read, start


def leave(numbers: Numbers) -> First:
    draining.set()
    return First(value=1)


def stay(first: First) -> Second:
    return Second(value=2)


leaving = Pipeline("tests.leaving", leave, stay, input=Numbers, fused=True)


@pytest.fixture(autouse=True)
def _stays(owner: None) -> Iterator[None]:
    yield
    draining.clear()


def due(queue: str = "io") -> list[Hint]:
    with connection() as conn:
        return hints.take_due(conn, queue, 100)


def take(pipeline: Pipeline) -> Claim:
    """Claim the first step of a new job."""
    start(pipeline, Numbers(count=1))
    (hint,) = due()
    taker = Taker(node=node.current_id(), pid=1, lease_s=60, idle_s=60)
    with connection() as conn:
        held = claims.claim(
            conn, hint.job_id, hint.step_id, 1, fingerprint=pipeline.fingerprint, taker=taker
        )
    assert held is not None
    return held


def first_step(job_id: UUID) -> tuple[StepStatus, int]:
    with transaction() as session:
        row = list_steps(session, job_id)[0]
        return StepStatus(row.status), row.attempt


def test_a_worker_that_leaves_claims_nothing_and_its_hint_is_due_again() -> None:
    job_id = start(pipelines.line)
    (hint,) = due()
    draining.set()

    assert inline.run(hint) is False

    assert first_step(job_id) == (StepStatus.READY, 0)
    assert [(one.step_id, one.generation) for one in due()] == [(hint.step_id, 2)]


def test_progress_hands_a_step_over_unless_it_has_done_all_of_its_units() -> None:
    attempt = Attempt(take(pipelines.line), idle_s=60)
    draining.set()

    Progress(attempt)(5, 5)
    for done in (1, 2):
        with pytest.raises(HandedOver):
            Progress(attempt)(done, 5)


def test_a_fused_pipeline_is_handed_over_between_its_steps() -> None:
    job_id = start(leaving)
    (hint,) = due()

    assert inline.run(hint) is False

    assert first_step(job_id)[0] == StepStatus.SUCCEEDED
    (follower,) = due()
    assert (follower.name, follower.generation) == ("stay", 2)
    draining.clear()
    inline.run(follower)
    assert read(job_id).status == JobStatus.SUCCEEDED


def test_an_attempt_that_was_in_the_way_does_not_count_even_if_it_was_the_last() -> None:
    held = take(pipelines.dawdling)  # its steps may be tried once

    with connection() as conn:
        rows = dispatch.steps_of_node(conn, node.current_id())
    release_all(rows, WORKER_LEFT, counts=False)

    assert first_step(held.job_id) == (StepStatus.READY, 0)


def test_a_step_that_ends_for_good_under_another_version_ends_its_job() -> None:
    held = take(pipelines.tolerant)
    with connection() as conn:
        conn.execute(update(job).values(fingerprint="another"))
        conn.execute(update(step).values(max_attempts=1))

    for _ in range(2):
        with connection() as conn:
            rows = dispatch.steps_of_node(conn, node.current_id())
        release_all(rows, WORKER_LOST)

    told = read(held.job_id)
    assert (told.status, told.error["code"]) == (JobStatus.FAILED, "worker_lost")


@pytest.mark.parametrize("end", ["hand_over", "retry", "ask"])
def test_a_step_given_back_while_its_job_is_cancelled_ends_the_job(end: str) -> None:
    held = take(pipelines.line)
    with connection() as conn:
        lifecycle.request_cancel(conn, held.job_id)

    with connection() as conn:
        if end == "hand_over":
            transitions.hand_over(conn, held)
        elif end == "retry":
            transitions.retry(conn, held, {}, delay_s=0)
        else:
            transitions.wait_for_answer(conn, held, {})

    assert read(held.job_id).status == JobStatus.CANCELLED
