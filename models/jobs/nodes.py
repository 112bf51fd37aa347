"""Nodes: which worker processes live, what they serve and what they know."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    delete,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from models.base import fixed, seconds
from models.jobs.bookkeeping import node
from models.jobs.tables import StepStatus, step

# Namespaces of advisory locks: the first key of `pg_advisory_lock(int, int)`.
NODE_LOCK = 0x4C52_0001
LEADER_LOCK = 0x4C52_0002
PLACE_LOCK = 0x4C52_0003


def lock_key(node_id: UUID) -> int:
    """Return the second key of a node's advisory lock: 32 bits of its id."""
    return int.from_bytes(node_id.bytes[-4:], "big", signed=True)


def beat(conn: Connection, values: dict[str, Any], *, lease_s: float) -> bool:
    """Say that the node lives and renew the leases of all it runs, in one go.

    `values`: the columns of `node`. A node that was declared dead is simply there again; what was
    taken from it meanwhile has a newer epoch. Returns whether the node has been told to drain.
    """
    row = insert(node).values(**values, beat_at=func.clock_timestamp())
    upsert = row.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "beat_at": func.clock_timestamp(),
            "draining": or_(node.c.draining, row.excluded.draining),
        },
    ).returning(node.c.draining)
    told_to_drain = bool(conn.execute(upsert).scalar_one())
    # A beat waits for nobody: a step that is locked is just going on, or has the next beat.
    held = (
        select(step.c.id)
        .where(step.c.node == values["id"], step.c.status == fixed(StepStatus.RUNNING))
        .with_for_update(key_share=True, skip_locked=True)
    )
    conn.execute(
        update(step)
        .where(step.c.id.in_(held.scalar_subquery()))
        .values(lease_until=func.clock_timestamp() + seconds(lease_s))
    )
    return told_to_drain


def leave(conn: Connection, node_id: UUID) -> None:
    """Remove a node that stops in good order."""
    conn.execute(delete(node).where(node.c.id == node_id))


def dead_nodes(conn: Connection, *, silent_s: float, cut_off_s: float) -> list[Row[Any]]:
    """Return nodes (id, hostname) that are dead.

    Either the kernel has closed the connection that held the node's advisory lock and no beat came
    for `silent_s`, or no beat came for `cut_off_s` at all.
    """
    held = text(
        "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid = :space AND objsubid = 2"
    ).bindparams(space=NODE_LOCK)
    locked = {int(key) for (key,) in conn.execute(held)}
    rows = conn.execute(
        select(
            node.c.id,
            node.c.hostname,
            (node.c.beat_at < func.clock_timestamp() - seconds(cut_off_s)).label("cut_off"),
        ).where(node.c.beat_at < func.clock_timestamp() - seconds(silent_s))
    )
    return [row for row in rows if row.cut_off or lock_key(row.id) % 2**32 not in locked]


def bury(conn: Connection, node_id: UUID) -> None:
    """Forget a dead node; its steps have been released."""
    conn.execute(delete(node).where(node.c.id == node_id))


def live_nodes(conn: Connection, *, within_s: float) -> list[Row[Any]]:
    """Return the nodes that have beaten within the last `within_s` seconds."""
    return list(
        conn.execute(
            select(node).where(node.c.beat_at > func.clock_timestamp() - seconds(within_s))
        )
    )


def slots(nodes: list[Row[Any]]) -> dict[str, int]:
    """Return how many steps the nodes can run at once, by queue; draining ones count for none."""
    total: dict[str, int] = {}
    for row in nodes:
        if not row.draining:
            for queue, count in row.slots.items():
                total[queue] = total.get(queue, 0) + count
    return total


def start_draining(conn: Connection, node_id: UUID) -> None:
    """Mark a node as leaving: no new work is meant for it."""
    conn.execute(update(node).where(node.c.id == node_id).values(draining=True))


def postgres_uptime_s(conn: Connection) -> float:
    """Return for how many seconds this Postgres has been up."""
    age = func.extract(
        "epoch", func.clock_timestamp() - literal_column("pg_postmaster_start_time()")
    )
    return float(conn.execute(select(age)).scalar_one())
