"""Concurrency keys: so many jobs of a key are under way, and the rest waits without a worker."""

from threading import Thread
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update

from config.db import connection, engine, transaction
from models.jobs import hints, lifecycle, places
from models.jobs.queries import explain, find_job, waiting_figures
from models.jobs.tables import JobStatus, StepStatus, job, step
from tasks import admission, dispatcher
from tasks.declaration import Concurrency
from tasks.pipeline import Pipeline
from tests.inline import drain, run
from tests.keyed_pipelines import Keyed, KeyedItems, keyed, keyed_each, paired, rest, work
from tests.pipelines import One
from tests.stack import read, start


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has an owner."""


def key_of(pipeline: Pipeline, key: str = "one") -> str:
    return f"{pipeline.name}:{key}"


def under_way(*job_ids: UUID) -> list[bool]:
    """Say which of these jobs have steps that are ready or run."""
    active = (StepStatus.READY, StepStatus.RUNNING)
    with connection() as conn:
        query = select(step.c.job_id).where(step.c.status.in_(active))
        found = set(conn.execute(query).scalars())
    return [one in found for one in job_ids]


def waiting(job_id: UUID) -> Any:
    with transaction() as session:
        return explain(session, find_job(session, job_id)).waiting_for


def test_a_job_with_a_key_runs_like_any_other() -> None:
    job_id = start(keyed, Keyed())

    drain()

    assert read(job_id).status == JobStatus.SUCCEEDED


def test_a_second_job_of_a_key_has_no_ready_step_until_the_first_has_ended() -> None:
    first, second = start(keyed, Keyed()), start(keyed, Keyed())
    admission.admit_after("")

    assert under_way(first, second) == [True, False]
    with connection() as conn:
        (hint,) = hints.take_due(conn, "io", 100)
    run(hint)
    admission.admit_after("")
    assert under_way(first, second) == [True, False]
    assert all(run(link) for link in hint.then)
    drain()
    assert [read(one).status for one in (first, second)] == [JobStatus.SUCCEEDED] * 2


def test_other_keys_other_pipelines_and_jobs_without_a_key_do_not_wait() -> None:
    made = [
        start(keyed, Keyed()),
        start(keyed, Keyed(key="two")),
        start(keyed, Keyed(key=None)),
        start(paired, Keyed()),
        start(paired, Keyed()),
        start(paired, Keyed()),
        start(paired, Keyed(key=None)),
    ]
    admission.admit_after("")

    assert under_way(*made) == [True, True, True, True, True, False, True]


def cancel(job_id: UUID) -> None:
    with connection() as conn:
        lifecycle.request_cancel(conn, job_id)


def fail(job_id: UUID) -> None:
    with connection() as conn:
        lifecycle.request_cancel(conn, job_id, error={"code": "gone", "message": "Gone."})


@pytest.mark.parametrize("end", [cancel, fail])
def test_a_job_that_is_stopped_gives_its_place_back(end: Any) -> None:
    first, second = start(keyed, Keyed()), start(keyed, Keyed())
    admission.admit_after("")

    end(first)
    admission.admit(["tests.keyed:one"])

    assert under_way(first, second) == [False, True]


def test_a_held_job_can_be_cancelled_and_takes_no_place_after_that() -> None:
    first, second, third = (start(keyed, Keyed()) for _ in range(3))
    admission.admit_after("")

    cancel(second)
    drain()

    assert read(second).status == JobStatus.CANCELLED
    assert [read(one).status for one in (first, third)] == [JobStatus.SUCCEEDED] * 2


def test_a_job_that_fails_gives_its_place_back_and_waits_for_one_when_it_is_resumed() -> None:
    first = start(keyed, Keyed(fail=["rest"]))
    drain()
    assert read(first).status == JobStatus.FAILED
    second = start(keyed, Keyed())
    admission.admit_after("")

    with transaction() as session:
        keyed.resume(session, find_job(session, first))
    admission.admit_after("")

    assert under_way(first, second) == [False, True]
    assert waiting(first).reason == "concurrency_key"
    drain()
    assert read(second).status == JobStatus.SUCCEEDED
    assert read(first).status == JobStatus.FAILED  # tried again: it fails in its second step


def test_a_fork_and_a_retry_wait_for_a_place_too() -> None:
    source = start(keyed, Keyed())
    drain()
    with transaction() as session:
        found = find_job(session, source)
        made = [keyed.retry(session, found).id]
        made += [keyed.fork(session, found, step="rest", edits={}).id for _ in range(2)]

    admission.admit_after("")

    assert under_way(*made) == [True, False, False]
    drain()
    assert {read(one).status for one in made} == {JobStatus.SUCCEEDED}


def test_a_dead_worker_gives_no_place_away_and_a_step_that_kills_workers_gives_it_back() -> None:
    first, second = start(keyed, Keyed()), start(keyed, Keyed())
    admission.admit_after("")
    for killed, expected in ((1, [True, False]), (2, [False, True])):
        with connection() as conn:
            held = conn.execute(
                update(step)
                .where(step.c.job_id == first, step.c.position == 0)
                .values(
                    status=StepStatus.RUNNING, lease_until=func.now(), attempt=killed,
                    epoch=killed, node=first,
                )
                .returning(step)
            ).one()  # fmt: skip
        dispatcher.release_all([held], dispatcher.WORKER_LOST)
        admission.admit_after("")
        assert under_way(first, second) == expected


def test_places_go_by_priority_then_age_and_waiting_counts() -> None:
    start(keyed, Keyed())
    admission.admit_after("")
    low, old = start(keyed, Keyed(), priority=-50), start(keyed, Keyed())
    new, high = start(keyed, Keyed()), start(keyed, Keyed(), priority=5)
    with connection() as conn:
        past = func.now() - func.make_interval(0, 0, 0, 0, 2)
        conn.execute(update(job).where(job.c.id == low).values(created_at=past))

    assert [waiting(one).position for one in (low, high, old, new)] == [1, 2, 3, 4]


def test_an_each_without_usable_items_fails_its_job_and_nobody_elses() -> None:
    bad = start(keyed_each, KeyedItems(items=[One(key="", value=1)]))
    good = start(keyed_each, KeyedItems(items=[One(key="a", value=1)]))

    drain()

    assert (read(bad).status, read(bad).error["code"]) == (JobStatus.FAILED, "invalid_items")
    assert read(good).status == JobStatus.SUCCEEDED


def test_many_who_admit_at_once_never_give_more_places_than_there_are() -> None:
    made = [start(paired, Keyed()) for _ in range(12)]
    most = []

    def admit_and_end() -> None:
        for _ in range(6):
            admission.admit([key_of(paired, "one!")])
            ways = [one for one, busy in zip(made, under_way(*made), strict=True) if busy]
            most.append(len(ways))
            for one in ways[:1]:
                cancel(one)

    threads = [Thread(target=admit_and_end) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 2
    drain()
    assert all(read(one).finished_at for one in made)


def test_a_sweep_looks_at_so_many_keys_and_goes_on_from_there() -> None:
    for name in "abc":
        start(keyed, Keyed(key=name))
    with connection() as conn:
        assert places.keys_with_room(conn, "") == ([key_of(keyed, k) for k in "abc"], "")
        assert places.keys_with_room(conn, key_of(keyed, "a"))[0] == [
            key_of(keyed, k) for k in "bc"
        ]


def test_the_dispatcher_hears_of_jobs_with_keys_that_come_and_end() -> None:
    with engine().connect() as listening:
        driver: Any = listening.connection.driver_connection
        driver.autocommit = True
        driver.execute("LISTEN longrun_due")
        start(keyed, Keyed(key=None))
        job_id = start(keyed, Keyed(key="a"))
        cancel(job_id)
        heard = [one.payload for one in driver.notifies(timeout=5, stop_after=2)]
        driver.execute("UNLISTEN *")
        driver.autocommit = False

    assert heard == [key_of(keyed, "a")] * 2


@pytest.mark.parametrize(
    "wrong", [Concurrency(key="nowhere"), Concurrency(key="key", limit=0)], ids=["key", "limit"]
)
def test_a_key_that_cannot_be_is_refused_when_it_is_declared(wrong: Concurrency) -> None:
    with pytest.raises(TypeError):
        Pipeline("tests.wrong", work, rest, input=Keyed, concurrency=wrong)


def test_a_long_key_is_known_by_its_hash() -> None:
    place = Concurrency(key="key").place("tests.keyed", Keyed(key="x" * 10_000))

    assert len(place["concurrency_key"]) < 100


async def test_a_job_says_what_it_waits_for(client: httpx.AsyncClient) -> None:
    first, second = start(keyed, Keyed()), start(keyed, Keyed())
    admission.admit_after("")
    told = [(await client.get(f"/jobs/{one}")).json()["waiting_for"] for one in (first, second)]

    assert (told[0]["reason"], told[0]["queue"]) == ("worker", "io")
    assert (told[1]["reason"], told[1]["key"], told[1]["position"]) == (
        "concurrency_key", "tests.keyed:one", 1,
    )  # fmt: skip
    with connection() as conn:
        figures = waiting_figures(conn)
    assert figures == {"concurrency_key": 1, "retry": 0, "turn": 1}
    assert 'longrun_waiting{reason="concurrency_key"} 1.0' in (await client.get("/metrics")).text
    drain()
    assert (await client.get(f"/jobs/{first}")).json()["waiting_for"] is None
