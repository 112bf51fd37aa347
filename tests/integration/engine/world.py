"""A world in which all that can go wrong between workers, broker and Postgres is one call.

Nothing in it is real but the engine: its transitions, its runner, its dispatcher, and Postgres. The
broker is a list of messages, a worker is an id, time passes by moving what is written back.
"""

import queue
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import text

from config.db import connection, transaction
from models.base import new_id
from models.jobs import dispatch, hints, lifecycle, nodes
from models.jobs.claims import Claim
from models.jobs.hints import Hint
from models.jobs.tables import Job
from tasks import dispatcher, node, publisher, runner
from tasks.pipeline import REGISTRY, Pipeline
from tests.integration.engine.fated import PIPELINES, Asked, Fate
from tests.pipelines import OWNER

QUEUES = ("io", "cpu", "stream")
HINTS = 3  # on their way at once, by queue
LEASE_S = 20.0
MINUTE_S = 60.0


class Publisher(publisher._Publisher):
    """One whose thread does nothing by itself: the world sends what it holds."""

    def run(self) -> None:
        return

    def taken(self) -> list[Hint]:
        batch: list[Any] = []
        while True:
            try:
                batch.append(self.waiting.get_nowait())
            except queue.Empty:
                break
        told = [one for one in batch if isinstance(one, Hint)]
        return told + self.take([one for one in batch if not isinstance(one, Hint)])


@dataclass
class Hand:
    """An attempt that a worker is at, or believes it is at."""

    node: UUID
    claim: Claim
    then: list[Hint] = field(default_factory=list)


class World:
    """Jobs, messages, workers, and what they have in hand."""

    def __init__(self) -> None:
        with connection() as conn:
            conn.execute(text("TRUNCATE job, node, machine_effect CASCADE"))
        self.publisher = Publisher()
        self.publisher.limits = dict.fromkeys(QUEUES, HINTS)
        publisher._current = self.publisher
        self.messages: list[Hint] = []
        self.hands: list[Hand] = []
        self.nodes: list[UUID] = []
        self.jobs: list[UUID] = []
        self.counts: Counter[str] = Counter()
        for pipeline in PIPELINES:
            REGISTRY[pipeline.name] = pipeline

    def close(self) -> None:
        publisher._current = None
        for pipeline in PIPELINES:
            del REGISTRY[pipeline.name]

    # -- people

    def start(self, pipeline: Pipeline, deadline_s: float | None, items: int) -> None:
        with transaction() as session:
            job = pipeline.start(session, Asked(items=items), owner=OWNER, deadline_s=deadline_s)
            self.jobs.append(job.id)

    def cancel(self, job_id: UUID) -> None:
        with connection() as conn:
            lifecycle.request_cancel(conn, job_id)

    def resume(self, job_id: UUID) -> None:
        with transaction() as session:
            job = session.get_one(Job, job_id)
            REGISTRY[job.pipeline].resume(session, job)

    def fork(self, job_id: UUID, place: int) -> None:
        with transaction() as session:
            job = session.get_one(Job, job_id)
            pipeline = REGISTRY[job.pipeline]
            name = list(pipeline.steps)[place % len(pipeline.steps)]
            self.jobs.append(pipeline.fork(session, job, step=name, edits={}).id)

    def answer(self, job_id: UUID) -> None:
        with transaction() as session:
            job = session.get_one(Job, job_id)
            REGISTRY[job.pipeline].answer(session, job, "inquire", "", "Yes.")

    # -- the dispatcher and the broker

    def publish(self) -> None:
        self.messages += self.publisher.taken()

    def dispatch(self) -> None:
        for name in QUEUES:
            with connection() as conn:
                self.messages += hints.take_due(conn, name, HINTS)

    def repair(self) -> None:
        dispatcher.repair(trust_silence=True)
        with connection() as conn:
            dispatch.forget_lost_hints(conn, QUEUES, 15, again_s=4)

    # -- workers

    def join(self) -> UUID:
        self.nodes.append(new_id())
        self.beat(self.nodes[-1])
        return self.nodes[-1]

    def beat(self, node_id: UUID) -> None:
        values = {
            "id": node_id, "hostname": "here", "pid": 1, "slots": dict.fromkeys(QUEUES, 2),
            "fingerprints": {}, "draining": False,
        }  # fmt: skip
        with connection() as conn:
            told_to_drain = nodes.beat(conn, values, lease_s=LEASE_S)
        if told_to_drain:
            self.die(node_id)

    def die(self, node_id: UUID) -> None:
        """Kill -9: what it had in hand is gone."""
        self.nodes.remove(node_id)
        self.hands = [hand for hand in self.hands if hand.node != node_id]

    def deliver(self, message: Hint, node_id: UUID) -> None:
        node._id = node_id
        pipeline = REGISTRY[message.pipeline]
        ids = (message.job_id, message.step_id)
        claim = runner._claim(pipeline, pipeline.steps[message.name], *ids, message.generation)
        if claim is not None:
            self.hands.append(Hand(node_id, claim, message.then))
        elif runner._succeeded_already(pipeline, message.step_id):
            self._walk_on(message.then)

    def run(self, hand: Hand, fate: str, *, dies_after: bool = False) -> None:
        """Let an attempt end; with `dies_after` its process says nothing of it to anybody."""
        self.hands.remove(hand)
        node._id, Fate.now = hand.node, fate
        pipeline = REGISTRY[hand.claim.pipeline]
        spec = pipeline.steps[hand.claim.name]
        after = runner._attempt(pipeline, spec, hand.claim, {})
        self.counts["ended well" if after else "ended otherwise"] += 1
        if after is None or dies_after:
            return
        publisher.submit(one.step_id for one in after.opened if not one.in_chain)
        if after.taken is not None:
            self.hands.append(Hand(hand.node, after.taken))
        self._walk_on(hand.then)

    def _walk_on(self, chain: list[Hint]) -> None:
        if chain:
            self.messages.append(Hint(**{**_fields(chain[0]), "then": chain[1:]}))

    # -- time

    def pass_time(self, seconds: float) -> None:
        columns = ("lease_until", "idle_deadline", "ready_at", "published_at")
        shifts = ", ".join(f"{name} = {name} - make_interval(secs => :s)" for name in columns)
        with connection() as conn:
            conn.execute(
                text(
                    f"UPDATE step SET {shifts} FROM job"
                    " WHERE job.id = job_id AND job.finished_at IS NULL"
                ),
                {"s": seconds},
            )
            for table, name in (("job", "deadline_at"), ("node", "beat_at")):
                shift = f"UPDATE {table} SET {name} = {name} - make_interval(secs => :s)"
                shift += " WHERE finished_at IS NULL" if table == "job" else ""
                conn.execute(text(shift), {"s": seconds})

    def settle(self) -> None:
        """Let everything go well from now on, until there is nothing to do."""
        here = self.join()
        for _ in range(100):
            self.pass_time(MINUTE_S)
            self.beat(here)
            self.repair()
            self.publish()
            self.dispatch()
            messages, self.messages = self.messages, []
            for message in messages:
                self.deliver(message, here)
            for hand in list(self.hands):
                self.run(hand, "succeed")
            for job_id in self.waiting():
                self.answer(job_id)
            if not self.unfinished():
                return
        raise AssertionError(f"these never end: {self.unfinished()}")

    def waiting(self) -> list[UUID]:
        with connection() as conn:
            found = conn.execute(text("SELECT job_id FROM step WHERE status = 'waiting'"))
            return list(found.scalars())

    def statuses(self) -> list[str]:
        """What every job is at."""
        with connection() as conn:
            return list(conn.execute(text("SELECT status FROM job")).scalars())

    def unfinished(self) -> list[Any]:
        with connection() as conn:
            return list(
                conn.execute(
                    text(
                        "SELECT job.id, job.pipeline, job.status, (SELECT array_agg(step.name ||"
                        " ' ' || step.status) FROM step WHERE job_id = job.id)"
                        " FROM job WHERE finished_at IS NULL"
                    )
                )
            )


def _fields(hint: Hint) -> dict[str, Any]:
    return {name: getattr(hint, name) for name in Hint.__slots__}
