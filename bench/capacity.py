"""What one job costs the stores: rows, bytes, commits, write-ahead log; and what a process holds.

Counted by Postgres itself around a number of jobs, less what the workers do when there is nothing
to do. `CAPACITY.md` reckons with these figures.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import psycopg

from bench.figures import Figure, bounded
from bench.servers import wait_until, web, worker
from bench.throughput import start
from bench.work import prepare

JOBS = 300
BOOKS = 2
IDLE_S = 15.0
SETTLED_S = 2.5  # backends report what they have done about once a second
TABLES = ("job", "step", "job_event", "stream_segment")
PATIENCE_S = 240.0
COPIES = 4000  # steps' worth: pages and the levels of indexes are then a small part


@dataclass(frozen=True, slots=True)
class Spent:
    """What Postgres has done so far, or did in between."""

    commits: float
    wal_bytes: float
    job: float
    step: float
    job_event: float
    stream_segment: float

    def less(self, other: "Spent", times: float = 1.0) -> "Spent":
        """Return the difference to `times` of another."""
        names = [one.name for one in fields(self)]
        return Spent(*(getattr(self, name) - times * getattr(other, name) for name in names))


@cache
def _store() -> "psycopg.Connection[Any]":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def _row(query: str) -> Any:
    found = _store().execute(query.encode()).fetchone()
    assert found is not None
    return found


def _now() -> Spent:
    time.sleep(SETTLED_S)
    counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in TABLES)
    return Spent(
        *map(
            float,
            _row(
                "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = "
                f"current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), {counts}"
            ),
        )
    )


def measure(scale: float) -> list[Figure]:
    """Count around short jobs of each kind, around books, and around nothing."""
    from bench.ingest import _bring, _long_novel
    from bench.pipelines import fused, line, speaking_briefly

    prepare()
    jobs = max(20, int(JOBS * scale))
    text = _long_novel(800_000)
    with _stack() as per_process:
        _finish(lambda: start(line, "warm"), 20)
        idle, idle_s = _during(lambda: time.sleep(IDLE_S))
        figures = [
            bounded("commits per second of three idle workers", idle.commits / idle_s, "/s"),
            *per_process(),
        ]
        kinds: list[tuple[str, Callable[[], object], int]] = [
            ("a job of four steps, unfused", lambda: start(line, "x"), jobs),
            ("a job of four steps, fused", lambda: start(fused, "x"), jobs),
            ("a stream of 200 tokens", lambda: start(speaking_briefly, "200"), max(10, jobs // 5)),
            (
                f"a book of {len(text) / 1e6:.1f} MB",
                lambda: _bring(text),
                max(1, round(BOOKS * min(scale, 1))),
            ),
        ]
        for name, begin, number in kinds:
            spent, took = _during(lambda b=begin, n=number: _finish(b, n))  # type: ignore[misc]
            figures += _figures(name, spent.less(idle, took / idle_s), number)
    return figures


@contextmanager
def _stack() -> Iterator[Callable[[], list[Figure]]]:
    """Run a worker of each kind and the API; yield what counts the connections of each."""
    with ExitStack() as stack:
        for queue, slots in (("io", 8), ("cpu", 2), ("stream", 8)):
            stack.enter_context(worker(queue, "bench.worker", slots=slots))
        stack.enter_context(web("bench.web:app"))

        def count() -> list[Figure]:
            rows = _store().execute(
                "SELECT application_name, count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "GROUP BY 1 ORDER BY 1"
            )
            told = ", ".join(f"{name or 'unnamed'} {number}" for name, number in rows)
            total = _row("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            return [
                bounded(
                    "connections to Postgres of three workers and one API", total[0] - 1, "",
                    note=f"{told} (longrun-node: heart and dispatcher, two of each worker)",
                )
            ]  # fmt: skip

        yield count


def _during(act: Callable[[], object]) -> tuple[Spent, float]:
    before, began = _now(), time.monotonic()
    act()
    after = _now()
    return after.less(before), time.monotonic() - began


def _finish(begin: Callable[[], object], number: int) -> None:
    for _ in range(number):
        begin()

    def done() -> bool:
        time.sleep(0.1)
        return bool(_row("SELECT count(*) FROM job WHERE finished_at IS NULL")[0] == 0)

    wait_until(done, "jobs", PATIENCE_S)
    failed = _row("SELECT count(*) FROM job WHERE status NOT LIKE 'succeeded%'")
    assert failed[0] == 0, f"{failed[0]} jobs have failed"


def _kept_bytes() -> float:
    """Return what the newest job takes in the engine's tables and indexes, by copies of it."""
    from config.db import connection
    from tests.crowd import multiply

    sizes = "+".join(f"pg_total_relation_size('{name}')" for name in TABLES)
    (model,) = _row(
        "SELECT id FROM job WHERE pipeline NOT LIKE 'upkeep.%' ORDER BY id DESC LIMIT 1"
    )
    (steps,) = _row(f"SELECT count(*) FROM step WHERE job_id = '{model}'")
    copies = max(20, COPIES // int(steps))
    _store().execute("VACUUM FULL job, step, job_event, stream_segment")
    (before,) = _row(f"SELECT {sizes}")
    with connection() as conn:
        multiply(conn, model, copies)
    (after,) = _row(f"SELECT {sizes}")
    return float(after - before) / float(copies)


def _figures(name: str, spent: Spent, number: int) -> list[Figure]:
    rows = {table: getattr(spent, table) / number for table in TABLES}
    told = ", ".join(f"{count:.3g} {table}" for table, count in rows.items() if count)
    return [
        bounded(f"{name}: rows of the engine", sum(rows.values()), "", note=told),
        bounded(
            f"{name}: on disk",
            _kept_bytes() / 1024,
            "KiB",
            note="indexes, too",
        ),
        bounded(f"{name}: commits", spent.commits / number, "", note="beyond idle workers'"),
        bounded(f"{name}: write-ahead log", spent.wal_bytes / number / 1024, "KiB"),
    ]
