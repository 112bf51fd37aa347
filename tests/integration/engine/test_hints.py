"""Hints that nobody took: they are void, and their steps due again."""

from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update

from config.db import connection, engine
from models.base import new_id, seconds
from models.jobs import dispatch, hints, nodes
from models.jobs.tables import step
from tasks import publisher
from tests import inline
from tests.pipelines import halves
from tests.stack import start, wait_for

pytestmark = pytest.mark.usefixtures("owner")


def published_long_ago(jobs: int) -> list[UUID]:
    """Start so many jobs; return their steps, whose hints have been on their way for a minute."""
    for _ in range(jobs):
        start(halves)
    with connection() as conn:
        taken = [hint.step_id for hint in hints.take_due(conn, "io", 100)]
        conn.execute(update(step).values(published_at=func.now() - seconds(60)))
    return taken


def due() -> set[UUID]:
    with connection() as conn:
        query = select(step.c.id).where(step.c.published_at.is_(None), step.c.status == "ready")
        return set(conn.execute(query).scalars())


def test_steps_whose_hints_nobody_took_are_due_again_and_the_old_hints_void() -> None:
    start(halves)
    with connection() as conn:
        (old,) = hints.take_due(conn, "io", 100)
        conn.execute(update(step).values(published_at=func.now() - seconds(60)))
        assert dispatch.forget_lost_hints(conn, ["io"], 15, again_s=4) == 1

    assert due() == {old.step_id}
    assert not inline.run(old)
    assert inline.drain() > 0


def test_hints_are_forgotten_without_waiting_for_who_holds_a_step() -> None:
    held, free = published_long_ago(2)
    with engine().connect() as other, connection() as conn:
        other.execute(select(step.c.id).where(step.c.id == held).with_for_update())
        conn.execute(text("SET LOCAL lock_timeout = '1s'"))

        assert dispatch.forget_lost_hints(conn, ["io"], 15, again_s=4) == 1
        dispatch.forget_hints_of_node(conn, new_id())
        dispatch.unpublish(conn, [held, free])

    assert due() == {free}


def test_a_step_that_somebody_had_before_is_hinted_at_again_sooner() -> None:
    known, _ = published_long_ago(2)
    with connection() as conn:
        conn.execute(update(step).values(published_at=func.now() - seconds(6)))
        conn.execute(update(step).where(step.c.id == known).values(epoch=1))

        assert dispatch.forget_lost_hints(conn, ["io"], 15, again_s=4) == 1

    assert due() == {known}


def test_there_is_room_again_once_what_was_asked_for_is_on_its_way() -> None:
    slots = {"slots": {"io": 4}, "fingerprints": {}, "draining": False}
    with connection() as conn:
        nodes.beat(conn, {"id": new_id(), "hostname": "h", "pid": 1, **slots}, lease_s=20)
    assert not publisher.reserve("io")  # nobody has looked yet

    start(halves)

    # Asked again: what the test before has left may have made it look before the node was there.
    wait_for(lambda: publisher.reserve("io"), 10, between=lambda: publisher.refill("io"))
    assert due() == set()
