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

PROCESSES = 2  # of the prefork pools; engine.md's figures were taken with two
THREADS = 4  # of the thread pools
ROUNDS = 3
JOBS = 200
WARM_UP = 20
PROCRASTINATE = "Procrastinate"
DBOS_KINDS = {"DBOS queue": "queue", "DBOS direct": "direct"}

Contenders = dict[str, Callable[[str, int], None]]  # by name: what starts so many jobs of a run
Rates = dict[str, list[float]]  # pipelines per second, by contender


def measure(scale: float) -> list[Figure]:
    """Let everybody run the same number of pipelines, a few times in turn, in both pools."""
    prepare()
    jobs = max(WARM_UP, int(JOBS * scale))
    with peer("dbos_pipeline") as ask, peer("procrastinate_line") as ask_other:
        others: Contenders = {name: partial(ask, kind) for name, kind in DBOS_KINDS.items()}
        others[PROCRASTINATE] = partial(ask_other, "line")
        processes = _race("prefork", PROCESSES, jobs, others)
    threads = _race("threads", THREADS, jobs // 2, {})
    return [
        *_figures(processes, f"prefork {PROCESSES}"),
        *_figures(threads, f"threads {THREADS}"),
    ]


def _race(pool: str, slots: int, jobs: int, others: Contenders) -> Rates:
    from bench.peers.celery_chain import start as start_chain
    from bench.pipelines import fused, line

    contenders: Contenders = {
        "bare Celery": partial(_each, start_chain),
        "unfused": partial(_each, partial(start, line)),
        "fused": partial(_each, partial(start, fused)),
        **others,
    }
    rates: Rates = {name: [] for name in contenders}
    with (
        worker("cpu", "bench.worker", slots=slots, pool=pool),
        worker("bare", "bench.peers.celery_chain", slots=slots, pool=pool),
    ):
        for number in range(ROUNDS + 1):  # the first round warms up
            for name, begin in contenders.items():
                rate = _timed(begin, jobs if number else WARM_UP)
                if number:
                    rates[name].append(rate)
    return rates


def _figures(rates: Rates, where: str) -> list[Figure]:
    """Compare the medians: with bare Celery, and with the better way to start DBOS, if it ran."""
    middle = {name: median(found) for name, found in rates.items()}
    spread = {name: f"{min(found):.0f} to {max(found):.0f}" for name, found in rates.items()}

    def beside(mine: str, theirs: str, at_least: float) -> Figure:
        return compared(
            f"4-step pipelines per second, {mine}, {where}", middle[mine], "/s", middle[theirs],
            theirs, at_least=at_least, note=f"{spread[mine]} against {spread[theirs]}",
        )  # fmt: skip

    found = [beside("unfused", "bare Celery", 0.7), beside("fused", "bare Celery", 1.0)]
    if ran := DBOS_KINDS.keys() & middle.keys():
        best = max(ran, key=lambda name: middle[name])
        found += [beside("unfused", best, 1.2), beside("fused", best, 1.2)]
    if PROCRASTINATE in middle:
        found += [beside(mine, PROCRASTINATE, 1.2) for mine in ("unfused", "fused")]
    return found


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
def peer(module: str) -> Iterator[Callable[[str, str, int], None]]:
    """Run one of `bench.peers` in a process of its own; yield what makes it work."""
    started = subprocess.Popen(
        [sys.executable, "-m", f"bench.peers.{module}"],
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
