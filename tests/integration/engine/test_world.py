"""What the state machine has found, small."""

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from config.db import connection
from config.local import EmbeddedPostgres
from models.jobs import nodes
from models.jobs.hints import Hint
from tasks import record
from tasks.forms import NotReached
from tests.integration.engine.fated import PIPELINES
from tests.integration.engine.world import LEASE_S, World
from tests.stack import read

LINE, _, FAN = PIPELINES


@pytest.fixture
def world(owner: None) -> Iterator[World]:
    with connection() as conn:
        conn.execute(text("CREATE TABLE machine_effect (job_id uuid, name text)"))
    made = World()
    made.join()
    yield made
    made.close()


def begin(world: World, step: str) -> UUID:
    """Start a job and go on until a worker has this step in hand."""
    world.start(FAN if step == "inquire" else LINE, None, 1)
    for _ in range(10):
        world.publish()
        world.dispatch()
        while world.messages:
            world.deliver(world.messages.pop(), world.nodes[0])
        if step in [hand.claim.name for hand in world.hands]:
            return world.jobs[0]
        for hand in list(world.hands):
            world.run(hand, "succeed")
    raise AssertionError(f"{step} never began")


@pytest.mark.parametrize(
    ("step", "fate"), [("second", "retry"), ("second", "hand over"), ("inquire", "succeed")]
)
def test_a_step_that_gives_itself_back_while_its_job_is_cancelled_ends_it(
    world: World, step: str, fate: str
) -> None:
    job_id = begin(world, step)
    world.cancel(job_id)

    for hand in list(world.hands):
        world.run(hand, fate)

    assert read(job_id).status == "cancelled"


def test_a_job_is_forked_only_at_a_step_that_it_has_come_to(world: World) -> None:
    job_id = begin(world, "second")

    with pytest.raises(NotReached) as told:
        world.fork(job_id, 2)

    assert told.value.details["undone"] == ["second"]
    world.fork(job_id, 1)


def test_a_hint_that_comes_twice_does_not_run_a_step_more_often_than_it_may(world: World) -> None:
    begin(world, "third")
    first = world.hands[0].claim
    message = Hint(first.job_id, first.step_id, first.pipeline, first.name, "", "cpu", 1, 0)

    for _ in range(3):
        world.pass_time(60)
        world.deliver(message, world.nodes[0])

    assert max(hand.claim.attempt for hand in world.hands) == first.max_attempts == 2


def test_a_beat_waits_for_no_step_that_somebody_has_locked(world: World) -> None:
    begin(world, "second")
    (hand,) = world.hands
    with connection() as other:
        other.execute(
            text("SELECT FROM step WHERE id = :id FOR UPDATE"), {"id": hand.claim.step_id}
        )

        world.beat(hand.node)  # would wait for ever

    world.pass_time(LEASE_S / 2)
    world.beat(hand.node)
    with connection() as conn:
        left = "SELECT lease_until - now() > make_interval(secs => :s) FROM step WHERE id = :id"
        renewed = {"id": hand.claim.step_id, "s": LEASE_S * 0.9}
        assert conn.execute(text(left), renewed).scalar_one()


def test_what_a_node_takes_before_it_beats_again_is_its_own_until_the_lease_ends(
    world: World,
) -> None:
    begin(world, "second")
    (hand,) = world.hands
    with connection() as conn:
        nodes.bury(conn, hand.node)  # it was frozen

    world.repair()
    assert status_of(hand.claim.step_id) == "running"

    world.pass_time(LEASE_S + 1)
    world.repair()
    assert status_of(hand.claim.step_id) == "ready"


def test_a_claim_whose_answer_was_lost_is_given_back(world: World) -> None:
    begin(world, "second")
    (hand,) = world.hands
    held = (hand.claim.step_id, hand.claim.epoch)

    record.in_hand.add(held)
    record.undo_claim(LINE, hand.claim.step_id)
    assert status_of(hand.claim.step_id) == "running", "somebody is at it"
    record.in_hand.discard(held)
    record.undo_claim(LINE, hand.claim.step_id)

    assert status_of(hand.claim.step_id) == "ready"


def test_what_ends_while_postgres_is_away_is_recorded_when_it_is_back(
    world: World, postgres: EmbeddedPostgres
) -> None:
    begin(world, "second")
    (hand,) = world.hands
    postgres.stop()
    recording = threading.Thread(target=world.run, args=(hand, "succeed"), daemon=True)
    recording.start()
    recording.join(0.5)
    assert recording.is_alive()

    postgres.start()
    recording.join(30)

    assert status_of(hand.claim.step_id) == "succeeded"


def status_of(step_id: UUID) -> str:
    with connection() as conn:
        found = conn.execute(text("SELECT status FROM step WHERE id = :id"), {"id": step_id})
        return str(found.scalar_one())
