"""What every step pays for: taking it, and going on to the next of its chain; a round trip each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, literal_column, select

from models.jobs.plan import Json, Opened
from models.jobs.statements import ADVANCE, ADVANCE_BESIDE, CLAIM
from models.jobs.tables import StepStatus, step


class Superseded(Exception):
    """Another attempt owns the step now; this one must stop without a trace."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out one attempt of a step, and what it needs to know."""

    job_id: UUID
    step_id: UUID
    owner_id: UUID
    pipeline: str
    fingerprint: str
    input: Json
    position: int
    name: str
    item_key: str
    item_index: int
    chain: int | None
    queue: str
    parts: int
    traceparent: str | None
    epoch: int
    attempt: int
    max_attempts: int
    checkpoint: Json | None
    answer: Json | None
    outputs: dict[str, Json]  # of earlier steps, as far as they were asked for
    item: Json | None = None  # of an `each`, where `over` was asked for


@dataclass(frozen=True, slots=True)
class Taker:
    """Who takes a step, and for how long it may be silent."""

    node: UUID
    pid: int
    lease_s: float
    idle_s: float


def claim(
    conn: Connection,
    job_id: UUID,
    step_id: UUID,
    generation: int,
    *,
    fingerprint: str,
    taker: Taker,
    needs: Sequence[str] = (),
    over: tuple[str, str] | None = None,
) -> Claim | None:
    """Take the step for one attempt, or return None and change nothing.

    `needs` names earlier steps, none of them an `each`, whose outputs come along. `over` names the
    one whose output has the list that an `each` runs over, and the list: of that only the item.
    None: it is done, taken, superseded, cancelled, or of another version of the pipeline.
    """
    which = {"job": job_id, "step": step_id, "generation": generation, "fingerprint": fingerprint}
    source, items = over or (None, "")
    asked = {"needs": list(needs), "over": source, "items": items}
    row = conn.execute(CLAIM, which | asked | _values(taker)).one_or_none()
    return None if row is None else _claimed(job_id, *row)


def _claimed(
    job_id: UUID, started: Json, taken: Json, outputs: dict[str, Json] | None, item: Json | None
) -> Claim:
    return Claim(
        job_id=job_id,
        owner_id=UUID(started["owner_id"]),
        pipeline=started["pipeline"],
        fingerprint=started["fingerprint"],
        input=started["input"],
        parts=started["parts"],
        traceparent=started["traceparent"],
        outputs=outputs or {},
        item=item,
        **_of_step(taken),
    )


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came after a success: the next step of the chain, ready or already taken, or the end."""

    opened: list[Opened]
    taken: Claim | None


def advance(
    conn: Connection, held: Claim, output: Json, *, taker: Taker, take: bool
) -> Advanced | None:
    """Record a step's success and open the next of its chain, or end the job, in one statement.

    A step that runs beside others opens nothing while another of them is active. With `take` the
    next step is taken at once by the same worker. None, with nothing changed, when it is not as
    simple as that: `transitions.complete` then says what is.
    """
    where = {"job": held.job_id, "step": held.step_id, "epoch": held.epoch}
    done = where | {"position": held.position, "output": output}
    if held.chain is None:
        beside = conn.execute(ADVANCE_BESIDE, done).one_or_none()
        return None if beside is None else Advanced([], None)
    ahead = {"chain": held.chain, "take": take}
    row = conn.execute(ADVANCE, done | ahead | _values(taker)).one_or_none()
    return None if row is None else _advanced(held, row[0], take=take)


def _advanced(held: Claim, after: Json | None, *, take: bool) -> Advanced:
    if after is None:
        return Advanced([], None)
    if take:
        return Advanced([], replace(held, outputs={}, **_of_step(after)))
    step_id, generation = UUID(after["id"]), after["generation"]
    return Advanced(
        [Opened(step_id, after["name"], after["queue"], generation, in_chain=True)], None
    )


def taken_after(conn: Connection, held: Claim, *, taker: Taker) -> Claim | None:
    """Return the claim on the step after `held` that `advance` took, as it stands in Postgres."""
    row = conn.execute(
        select(func.to_jsonb(literal_column("step"))).where(
            step.c.job_id == held.job_id,
            step.c.position == held.position + 1,
            step.c.chain == held.chain,
            step.c.status == StepStatus.RUNNING,
            step.c.node == taker.node,
            step.c.pid == taker.pid,
        )
    ).scalar_one_or_none()
    return None if row is None else replace(held, outputs={}, **_of_step(row))


def _values(taker: Taker) -> dict[str, Any]:
    return {
        "node": taker.node,
        "pid": taker.pid,
        "lease_s": taker.lease_s,
        "idle_s": taker.idle_s,
    }


def _of_step(row: Json) -> dict[str, Any]:
    told = ("position", "name", "item_key", "item_index", "chain", "queue", "epoch", "attempt")
    kept = ("max_attempts", "checkpoint", "answer")
    return {"step_id": UUID(row["id"])} | {name: row[name] for name in told + kept}
