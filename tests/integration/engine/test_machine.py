"""Whatever happens, in whatever order: a state machine over the engine's own transitions.

`FUZZ_EXAMPLES=500` looks longer than `make test` does.
"""

import os
from collections import Counter
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from config.db import connection
from models.errors import DomainError
from models.jobs.tables import TERMINAL
from tests.integration.engine.fated import PIPELINES, WRITING
from tests.integration.engine.world import World

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
STEPS = 40
LONG_EXAMPLES = 300
ENDS = {"succeeded", "failed", "cancelled"}  # that must have been seen, or little was looked at

some = st.integers(0, 1000)  # which of those that are there, modulo their number
fates = st.sampled_from(["succeed", "succeed", "look", "retry", "fail", "hand over"])

WRONG = {
    "a job that can go on has something that goes on": """
        SELECT job.id, job.status FROM job WHERE status IN ('queued', 'running')
        AND NOT EXISTS (
            SELECT FROM step WHERE job_id = job.id AND status IN ('ready', 'running'))""",
    "a job that is being cancelled has somebody who will confirm it": """
        SELECT job.id FROM job WHERE status = 'cancelling'
        AND NOT EXISTS (SELECT FROM step WHERE job_id = job.id AND status = 'running')""",
    "a job waits for a person only if nothing else goes on": """
        SELECT job.id FROM job WHERE status = 'waiting' AND (
            NOT EXISTS (SELECT FROM step WHERE job_id = job.id AND status = 'waiting')
            OR EXISTS (
                SELECT FROM step WHERE job_id = job.id AND status IN ('ready', 'running')))""",
    "nothing of a finished job is open": """
        SELECT job.id, step.name, step.status FROM job JOIN step ON job_id = job.id
        WHERE job.finished_at IS NOT NULL AND step.status IN ('ready', 'running', 'waiting')""",
    "a job that succeeded has nothing undone": """
        SELECT job.id, step.name, step.status FROM job JOIN step ON job_id = job.id
        WHERE job.status IN ('succeeded', 'succeeded_degraded')
        AND step.status <> 'succeeded' AND NOT (step.optional AND step.status = 'failed')""",
    "events are dense": """
        SELECT job.id, job.event_seq FROM job LEFT JOIN job_event ON job_id = job.id
        GROUP BY job.id HAVING count(seq) <> event_seq OR max(seq) <> event_seq""",
    "a step succeeds once": """
        SELECT job_id, data FROM job_event WHERE type = 'step.succeeded'
        GROUP BY job_id, data HAVING count(*) > 1""",
    "attempts are within their bounds": """
        SELECT id, attempt FROM step WHERE attempt < 0 OR attempt > max_attempts
        OR epoch < attempt""",
    "no position is open before the one before is done": """
        SELECT late.id FROM step late JOIN step early
        ON early.job_id = late.job_id AND early.position < late.position
        WHERE late.status IN ('ready', 'running', 'waiting', 'succeeded')
        AND early.status IN ('pending', 'ready', 'running', 'waiting')""",
    "an effect is there exactly if its step has succeeded, and once": f"""
        SELECT step.job_id, step.name, step.status, count(machine_effect.name) FROM step
        LEFT JOIN machine_effect USING (job_id, name) JOIN job ON job.id = step.job_id
        WHERE step.name IN {WRITING} AND step.epoch > 0 GROUP BY step.id
        HAVING count(machine_effect.name) <> (step.status = 'succeeded')::int""",
}  # fmt: skip
ALL_WRONG = " UNION ALL ".join(
    f"SELECT '{name}', to_jsonb(wrong) FROM ({query}) wrong" for name, query in WRONG.items()
)
FINISHED = """
SELECT job.id, md5(job::text || string_agg(step::text, '|' ORDER BY step.id)) FROM job
JOIN step ON step.job_id = job.id WHERE job.finished_at IS NOT NULL GROUP BY job.id
"""
EPOCHS = "SELECT id, epoch, generation FROM step"


class Machine(RuleBasedStateMachine):
    """Does anything that people, workers, the broker and time can do."""

    ends: ClassVar[Counter[str]] = Counter()  # of all jobs that any machine has started

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.finished: dict[UUID, str] = {}
        self.epochs: dict[UUID, tuple[int, int]] = {}
        self.world.join()
        self.world.join()

    # -- people

    @rule(which=some, deadline_s=st.sampled_from([None, None, 45.0]), items=st.integers(0, 3))
    def start(self, which: int, deadline_s: float | None, items: int) -> None:
        self.world.start(_of(PIPELINES, which), deadline_s, items)

    @precondition(lambda self: self.world.jobs)
    @rule(which=some)
    def cancel(self, which: int) -> None:
        self.world.cancel(_of(self.world.jobs, which))

    @precondition(lambda self: self.finished)
    @rule(which=some)
    def resume(self, which: int) -> None:
        job_id = _of(list(self.finished), which)
        try:
            self.world.resume(job_id)
        except DomainError:
            return
        del self.finished[job_id]

    @precondition(lambda self: self.world.jobs and len(self.world.jobs) < 8)
    @rule(which=some, place=some)
    def fork(self, which: int, place: int) -> None:
        with suppress(DomainError):
            self.world.fork(_of(self.world.jobs, which), place)

    @precondition(lambda self: self.world.waiting())
    @rule(which=some)
    def answer(self, which: int) -> None:
        self.world.answer(_of(self.world.waiting(), which))

    # -- messages: delayed and reordered by being picked at will

    @precondition(lambda self: self.world.nodes)
    @rule(where=some)
    def flow(self, where: int) -> None:
        """What happens nearly always: hints go out at once and are taken at once."""
        self.world.publish()
        self.world.dispatch()
        messages, self.world.messages = self.world.messages, []
        for message in messages:
            self.world.deliver(message, _of(self.world.nodes, where))

    @rule()
    def publish(self) -> None:
        self.world.publish()

    @rule()
    def dispatch(self) -> None:
        self.world.dispatch()

    @rule()
    def repair(self) -> None:
        self.world.repair()

    @precondition(lambda self: self.world.messages)
    @rule(which=some)
    def drop(self, which: int) -> None:
        self.world.messages.remove(_of(self.world.messages, which))

    @precondition(lambda self: self.world.messages)
    @rule(which=some)
    def double(self, which: int) -> None:
        self.world.messages.append(_of(self.world.messages, which))

    @precondition(lambda self: self.world.messages and self.world.nodes)
    @rule(which=some, where=some)
    def deliver(self, which: int, where: int) -> None:
        message = _of(self.world.messages, which)
        self.world.messages.remove(message)
        self.world.deliver(message, _of(self.world.nodes, where))

    # -- workers

    @precondition(lambda self: self.world.hands)
    @rule(which=some, fate=fates, dies_after=st.booleans())
    def run(self, which: int, fate: str, dies_after: bool) -> None:
        self.world.run(_of(self.world.hands, which), fate, dies_after=dies_after)

    @precondition(lambda self: self.world.hands)
    @rule(which=some, fate=fates)
    def run_while_cancelled(self, which: int, fate: str) -> None:
        hand = _of(self.world.hands, which)
        self.world.cancel(hand.claim.job_id)
        self.world.run(hand, fate)

    @precondition(lambda self: self.world.nodes)
    @rule(which=some)
    def beat(self, which: int) -> None:
        self.world.beat(_of(self.world.nodes, which))

    @precondition(lambda self: len(self.world.nodes) > 1)
    @rule(which=some)
    def die(self, which: int) -> None:
        self.world.die(_of(self.world.nodes, which))

    @rule(seconds=st.sampled_from([1, 6, 25, 1000]), beating=st.booleans())
    def pass_time(self, seconds: int, beating: bool) -> None:
        self.world.pass_time(seconds)
        for node in list(self.world.nodes) if beating else []:
            self.world.beat(node)
        if not self.world.nodes:
            self.world.join()

    # -- what must hold

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "world"):
            return
        self._check()

    def _check(self) -> None:
        with connection() as conn:
            wrong = list(conn.execute(text(ALL_WRONG)))
            finished = {row[0]: row[1] for row in conn.execute(text(FINISHED))}
            epochs = {row[0]: (row[1], row[2]) for row in conn.execute(text(EPOCHS))}
        assert wrong == []
        assert self.finished.items() <= finished.items(), "a finished job has changed"
        self.finished = finished
        assert all(epochs[id] >= seen for id, seen in self.epochs.items() if id in epochs)
        self.epochs = epochs

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.settle()
            self._check()
            self.ends.update(self.world.statuses())
        finally:
            self.world.close()


def _of(those: list[Any], which: int) -> Any:
    return those[which % len(those)]


@pytest.fixture
def ready(owner: None) -> None:
    with connection() as conn:
        conn.execute(text("CREATE TABLE machine_effect (job_id uuid, name text)"))


def _look(examples: int, *phases: Phase) -> Counter[str]:
    budget = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    Machine.ends.clear()
    run_state_machine_as_test(Machine, settings=budget)
    return Machine.ends


@pytest.mark.timeout(60 + 5 * EXAMPLES)
def test_in_whatever_order_things_go_wrong_every_job_ends_right(ready: None) -> None:
    assert TERMINAL >= _look(EXAMPLES, Phase.generate).keys() >= ENDS


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_in_many_more_orders_every_job_ends_right(ready: None) -> None:
    ends = _look(max(EXAMPLES, LONG_EXAMPLES), Phase.generate, Phase.shrink)
    assert TERMINAL >= ends.keys() >= ENDS
