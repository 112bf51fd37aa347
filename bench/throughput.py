"""Pipelines of four steps per second, one Postgres commit of work per step, side by side.

All contenders share one Postgres, one Valkey and the machine's cores, and take turns in one run.
Time runs from the first start to the last committed row.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from bench.figures import Figure, compared, median
from bench.servers import ROOT, worker
from bench.work import count, prepare

SLOTS = 2  # processes of the prefork pools; engine.md's figures were taken with two
ROUNDS = 3
JOBS = 200


def measure(scale: float) -> list[Figure]:
    """Let everybody run the same number of pipelines, a few times in turn."""
    prepare()
    from bench.peers.celery_chain import start as start_chain
    from bench.pipelines import fused, line

    with (
        worker("cpu", "bench.worker", slots=SLOTS),
        worker("bare", "bench.peers.celery_chain", slots=SLOTS, pool="prefork"),
        dbos() as ask_dbos,
    ):
        contenders: dict[str, Callable[[str, int], None]] = {
            "bare Celery": partial(_each, start_chain),
            "unfused": partial(_each, partial(start, line)),
            "fused": partial(_each, partial(start, fused)),
            "DBOS queue": partial(ask_dbos, "queue"),
            "DBOS direct": partial(ask_dbos, "direct"),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS + 1):
            for name, begin in contenders.items():
                jobs = 20 if number == 0 else max(20, int(JOBS * scale))
                rate = _timed(begin, jobs)
                if number:  # the first round warms up
                    rates[name].append(rate)
    return _figures(rates)


def _figures(rates: dict[str, list[float]]) -> list[Figure]:
    middle = {name: median(found) for name, found in rates.items()}
    spread = {name: f"{min(found):.0f} to {max(found):.0f}" for name, found in rates.items()}
    celery = middle["bare Celery"]
    dbos_name = max(("DBOS queue", "DBOS direct"), key=lambda name: middle[name])

    def beside(mine: str, theirs: str, at_least: float) -> Figure:
        note = f"{spread[mine]} against {spread[theirs]}, prefork {SLOTS}"
        name = f"4-step pipelines per second, {mine}"
        return compared(
            name, middle[mine], "/s", middle[theirs], theirs, at_least=at_least, note=note
        )

    return [
        compared(
            "4-step pipelines per second, unfused", middle["unfused"], "/s", celery, "bare Celery",
            at_least=0.7, note=f"{spread['unfused']} against {spread['bare Celery']}",
        ),
        beside("fused", "bare Celery", 1.0),
        beside("unfused", dbos_name, 1.2),
        beside("fused", dbos_name, 1.2),
    ]  # fmt: skip


def _timed(begin: Callable[[str, int], None], jobs: int) -> float:
    """Return pipelines per second."""
    run = uuid4().hex
    began = time.monotonic()
    begin(run, jobs)
    while (done := count(run)) < 4 * jobs:
        if time.monotonic() - began > 60:
            raise TimeoutError(f"{done} of {4 * jobs} steps within a minute")
        time.sleep(0.05)
    return jobs / (time.monotonic() - began)


def _each(begin: Callable[[str], object], run: str, jobs: int) -> None:
    for _ in range(jobs):
        begin(run)


def start(pipeline: Any, run: str) -> UUID:
    """Start one job, as a route does, and return its id."""
    from bench.pipelines import Run
    from config.db import transaction
    from models.accounts import LOCAL_USER_ID

    with transaction() as session:
        job = pipeline.start(session, Run(run=run), owner=LOCAL_USER_ID)
        return UUID(str(job.id))


@contextmanager
def dbos() -> Iterator[Callable[[str, str, int], None]]:
    """Run DBOS in a process of its own; yield what makes it work."""
    started = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.dbos_pipeline"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    incoming, outgoing = started.stdout, started.stdin

    def ask(kind: str, run: str, jobs: int) -> None:
        outgoing.write(f"{kind} {run} {jobs}\n")
        outgoing.flush()
        assert incoming.readline() == "done\n"

    try:
        assert incoming.readline() == "ready\n"
        yield ask
    finally:
        started.kill()
        started.wait()
