"""`python -m api.operate stuck | nodes | versions | drain NODE | replay JOB | purge`.

The operators' commands. They need `DATABASE_URL`; of a local stack they are `python -m config.local
operate …`. Each says what it did and returns 0; 1 means that there was something to complain of.
"""

import argparse
import sys
import time
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Row

from api.stuck import Stuck, find_stuck
from config.db import connection, transaction
from config.settings import settings
from models.accounts import SYSTEM_USER_ID
from models.base import now
from models.errors import DomainError
from models.jobs import nodes, operating, retention
from models.jobs.queries import find_job
from models.schedules.firing import forget_fires
from models.webhooks.deliveries import forget_deliveries
from pipelines import REGISTRY, get_pipeline

POLL_S = 0.2
DRAIN_S = 60.0  # longer than ENGINE_LEAVE_S and a supervisor's patience
VERSION_CHARS = 12  # of a fingerprint: what tells versions apart for a person
SILENT_S = 300.0  # a step that says nothing for five minutes is worth a look

console = Console()


def stuck(asked: argparse.Namespace) -> int:
    """List what does not move, and why. Returns 1 when there is something."""
    with connection() as conn:
        found = find_stuck(conn, silent_s=asked.silent)
    if not found:
        console.print("Nothing is stuck.")
        return 0
    console.print(_table(found))
    return 1


def list_nodes(_: argparse.Namespace) -> int:
    """List the workers and what they hold."""
    with connection() as conn:
        rows = operating.all_nodes(conn)
    table = Table("node", "host", "pid", "slots", "steps", "state")
    for row in rows:
        slots = " ".join(f"{queue}:{count}" for queue, count in row.slots.items())
        silent = row.silent_s > settings.engine.dead_after_s
        state = "silent" if silent else "draining" if row.draining else "live"
        table.add_row(str(row.id), row.hostname, str(row.pid), slots, str(row.held), state)
    console.print(table)
    return 0


def versions(_: argparse.Namespace) -> int:
    """Show of which versions of their pipelines jobs are in flight, and who knows them.

    1 if this code is not of the version of one of them: an old worker is still needed.
    """
    known = {name: pipeline.fingerprint for name, pipeline in REGISTRY.items()}
    with connection() as conn:
        rows = operating.versions_in_flight(conn)
        live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
    table = Table("pipeline", "version", "jobs", "workers that know it", "this code")
    for row in rows:
        knowing = sum(one.fingerprints.get(row.pipeline) == row.fingerprint for one in live)
        ours = "same" if known.get(row.pipeline) == row.fingerprint else "other"
        version = row.fingerprint[:VERSION_CHARS]
        table.add_row(row.pipeline, version, str(row.jobs), str(knowing), ours)
    console.print(table)
    return int(any(known.get(row.pipeline) != row.fingerprint for row in rows))


def drain(asked: argparse.Namespace) -> int:
    """Have workers hand over what they run and end; return once they hold nothing.

    What supervises them starts new ones, with new ids, unless it was told not to.
    """
    with connection() as conn:
        found = operating.nodes_called(conn, asked.node)
        for row in found:
            nodes.start_draining(conn, row.id)
    if not found:
        sys.stderr.write(f"There is no node {asked.node}; see: python -m api.operate nodes\n")
        return 1
    console.print(f"{len(found)} nodes are told to leave.")
    deadline = time.monotonic() + asked.wait
    while (held := _held(found)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    console.print(f"They still hold {held} steps." if held else "They hold no step any more.")
    return 1 if held else 0


def replay(asked: argparse.Namespace) -> int:
    """Start a new job with the input of an old one, for the same owner."""
    with transaction() as session:
        job = find_job(session, asked.job)
        again = get_pipeline(job.pipeline).retry(session, job)
    console.print(f"{again.id} runs {again.pipeline} again.")
    return 0


def purge(asked: argparse.Namespace) -> int:
    """Forget what ended more than so many days ago, now, and have the bytes that it held deleted.

    Bytes go by the rule of the platform's own upkeep: those that nobody holds, after a day.
    """
    before = retention.oldest_kept(asked.older_than)
    jobs = 0
    while done := _prune(before):
        jobs += done
    with transaction() as session:
        keys = retention.forget_keys(session.connection())
        fires = forget_fires(session, before=before)
        told = forget_deliveries(session, before=before)
        blobs = get_pipeline("upkeep.prune_blobs")
        job = blobs.start(session, blobs.parse({}), owner=SYSTEM_USER_ID)
    console.print(
        f"Forgotten: {jobs} jobs, {keys} idempotency keys, {fires} fires, {told} deliveries."
    )
    console.print(f"Job {job.id} deletes the blobs that nobody holds.")
    return 0


def _prune(before: datetime) -> int:
    with connection() as conn:
        return retention.prune(conn, before=before)


def _held(rows: list[Row[Any]]) -> int:
    with connection() as conn:
        return operating.held_by(conn, [row.id for row in rows])


def _table(found: list[Stuck]) -> Table:
    table = Table("job", "pipeline", "step", "since", "why")
    for one in found:
        passed = now() - one.since
        table.add_row(
            str(one.job_id), one.pipeline, one.step, f"{passed.total_seconds():,.0f} s", one.why
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api.operate", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    one = commands.add_parser("stuck", help=stuck.__doc__)
    one.add_argument("--silent", type=_positive, default=SILENT_S, help="seconds; default 300")
    one.set_defaults(run=stuck)
    commands.add_parser("nodes", help=list_nodes.__doc__).set_defaults(run=list_nodes)
    commands.add_parser("versions", help=versions.__doc__).set_defaults(run=versions)
    one = commands.add_parser("drain", help=drain.__doc__)
    one.add_argument("node", help="a node's id, or a host's name: all nodes of it")
    one.add_argument("--wait", type=_positive, default=DRAIN_S, help="seconds; default 60")
    one.set_defaults(run=drain)
    one = commands.add_parser("replay", help=replay.__doc__)
    one.add_argument("job", help="a job's id or public id")
    one.set_defaults(run=replay)
    one = commands.add_parser("purge", help=purge.__doc__)
    kept = settings.retention.jobs_days
    one.add_argument("--older-than", type=_positive, default=kept, help="days; RETENTION_JOBS_DAYS")
    one.set_defaults(run=purge)
    return parser


def _positive(word: str) -> float:
    number = float(word)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def main(words: list[str] | None = None) -> int:
    """Carry out a command and return the process's exit code."""
    asked = _parser().parse_args(words)
    try:
        code: int = asked.run(asked)
    except DomainError as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
