"""Whose turn it is when not all can be: owners, priorities, waiting, and crowds."""

from collections import Counter
from threading import Thread
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import func, select, text, update

from config.db import connection, transaction
from config.settings import settings
from models.accounts import provision_user
from models.base import new_id, seconds
from models.jobs import dispatch, hints, turns
from models.jobs.bookkeeping import turn
from models.jobs.hints import Hint
from models.jobs.tables import StepStatus, step
from tests.pipelines import Numbers, halves

IO = "io"


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has a database."""


def set_engine(monkeypatch: pytest.MonkeyPatch, **values: float) -> None:
    engine = settings.engine.model_copy(update=values)
    monkeypatch.setattr(turns, "settings", settings.model_copy(update={"engine": engine}))


def person() -> UUID:
    with transaction() as session:
        return provision_user(session, new_id()).id


def queue_up(owner: UUID, jobs: int, priority: int = 0) -> list[UUID]:
    with transaction() as session:
        return [
            halves.start(session, Numbers(), owner=owner, priority=priority).id for _ in range(jobs)
        ]


def take(limit: int) -> list[Hint]:
    with connection() as conn:
        return hints.take_due(conn, IO, limit)


def owners_of(hints: list[Hint]) -> list[UUID]:
    with connection() as conn:
        rows = conn.execute(
            select(step.c.id, step.c.owner_id).where(step.c.id.in_([h.step_id for h in hints]))
        )
        known = {row.id: row.owner_id for row in rows}
    return [known[hint.step_id] for hint in hints]


def finish(hints: list[Hint]) -> None:
    """Let published steps be gone, as if workers had run them."""
    with connection() as conn:
        conn.execute(
            update(step)
            .where(step.c.id.in_([hint.step_id for hint in hints]))
            .values(status=StepStatus.CANCELLED)
        )


def served(rounds: int, limit: int = 1) -> list[UUID]:
    """Take and finish `limit` steps so many times; return whose they were, in order."""
    order = []
    for _ in range(rounds):
        hints = take(limit)
        order += owners_of(hints)
        finish(hints)
    return order


def test_an_owner_with_many_jobs_does_not_come_before_one_with_one() -> None:
    bulk, single = person(), person()
    queue_up(bulk, 20)
    queue_up(single, 1)

    assert owners_of(take(4)) == [bulk, single, bulk, bulk]


def test_owners_take_turns_from_one_slot() -> None:
    first, second, third = people = [person() for _ in range(3)]
    for one in people:
        queue_up(one, 4)

    assert served(9) == [first, second, third] * 3


def test_who_comes_late_waits_for_one_round_at_most() -> None:
    people = [person() for _ in range(3)]
    for one in people:
        queue_up(one, 6)
    served(5)
    late = person()
    queue_up(late, 1)

    assert late in served(4)


def test_within_an_owner_the_oldest_comes_first() -> None:
    jobs = queue_up(person(), 5)

    assert [hint.job_id for hint in take(3)] == jobs[:3]
    assert [hint.job_id for hint in take(5)] == jobs[3:]


def test_higher_priorities_come_first_whoever_has_them() -> None:
    bulk, single = person(), person()
    queue_up(single, 2)
    queue_up(bulk, 3, priority=1)

    assert owners_of(take(4)) == [bulk, bulk, bulk, single]


def aged(owner: UUID, by_s: float) -> None:
    with connection() as conn:
        conn.execute(
            update(step)
            .where(step.c.owner_id == owner)
            .values(created_at=func.now() - seconds(by_s))
        )


@pytest.mark.parametrize(("age_s", "comes_first"), [(10.0, "patient"), (0.0, "urgent")])
def test_waiting_raises_the_priority_unless_that_is_off(
    monkeypatch: pytest.MonkeyPatch, age_s: float, comes_first: str
) -> None:
    set_engine(monkeypatch, priority_age_s=age_s)
    patient, urgent = person(), person()
    queue_up(patient, 1, priority=-5)
    queue_up(urgent, 3, priority=1)
    aged(patient, 65)

    assert owners_of(take(1)) == [{"patient": patient, "urgent": urgent}[comes_first]]


def test_an_owner_may_have_so_many_steps_in_a_queue_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_engine(monkeypatch, owner_steps=2)
    bulk, single = person(), person()
    queue_up(bulk, 3, priority=1)
    queue_up(bulk, 3)
    queue_up(single, 1)

    first = take(8)
    assert Counter(owners_of(first)) == {bulk: 2, single: 1}
    assert take(8) == []
    finish(first[:1])
    assert owners_of(take(8)) == [bulk]


def test_without_contention_nothing_is_remembered() -> None:
    queue_up(person(), 2)
    queue_up(person(), 2)

    assert len(take(8)) == 4
    with connection() as conn:
        assert conn.execute(select(func.count()).select_from(turn)).scalar_one() == 0


def test_where_steps_wait_for_turns_no_new_one_is_published_past_them() -> None:
    queue_up(person(), 1)

    with connection() as conn:
        assert dispatch.room(conn, {IO: 8, "cpu": 4}) == {"cpu": 4}
    take(8)
    with connection() as conn:
        assert dispatch.room(conn, {IO: 8, "cpu": 4}) == {IO: 7, "cpu": 4}


def test_a_step_that_is_asked_for_comes_after_those_that_have_waited() -> None:
    older, newer = person(), person()
    queue_up(older, 1)
    (job_id,) = queue_up(newer, 1)
    with connection() as conn:
        (asked,) = conn.execute(select(step.c.id).where(step.c.job_id == job_id)).scalars()
        taken = hints.take(conn, [asked], {IO: 1})

    assert owners_of(taken) == [older]


def test_a_queue_is_filled_up_by_several_hints_at_a_time() -> None:
    queue_up(person(), 8)
    on_their_way = take(4)

    finish(on_their_way[:1])
    with connection() as conn:
        assert hints.take_due(conn, IO, 4, at_least=2) == []
    finish(on_their_way[1:2])
    with connection() as conn:
        assert len(hints.take_due(conn, IO, 4, at_least=2)) == 2


def test_more_lines_than_are_looked_at_are_all_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LINES", 3)
    people = [person() for _ in range(10)]
    for one in people:
        queue_up(one, 3)
    urgent = people[-1]
    queue_up(urgent, 1, priority=5)

    order = served(31)

    assert order[0] == urgent
    assert Counter(order) == Counter({one: 3 for one in people}) + Counter([urgent])
    assert set(order[:20]) == set(people)


def test_two_who_choose_at_once_choose_no_step_twice() -> None:
    for _ in range(4):
        queue_up(person(), 10)
    taken: list[Hint] = []

    def keep_taking() -> None:
        for _ in range(10):
            taken.extend(take(1_000))

    threads = [Thread(target=keep_taking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(Counter(hint.step_id for hint in taken).values()) == {1: 40}


@examples(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 3))
def test_between_two_turns_of_one_owner_every_other_has_one(backlog: list[int], limit: int) -> None:
    """Whoever has something waiting is served before anybody else is served twice."""
    with connection() as conn:
        conn.execute(text("TRUNCATE job, turn CASCADE"))
    left = {}
    for jobs in backlog:
        owner = person()
        queue_up(owner, jobs)
        left[owner] = jobs
    since: Counter[UUID] = Counter()  # how often others were served while one has waited

    for owner in served(sum(backlog), limit):
        left[owner] -= 1
        assert left[owner] >= 0
        since[owner] = 0
        for other in left:
            if other != owner and left[other]:
                since[other] += 1
                assert since[other] <= len(backlog) - 1 + limit
    assert not any(left.values())
