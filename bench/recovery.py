"""How soon a step runs again when its worker is killed, and how soon a stream stops when asked to.

At the default settings. A worker of two is killed in mid-step with its whole process group; the
other takes over. Then a child of the prefork pool, whose parent lives on. Every job goes on to a
step that commits an effect; at the end each effect is counted.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from bench.figures import Figure, bounded, median, percentile
from bench.servers import wait_until, worker
from bench.throughput import start
from bench.work import allow, count, hear, prepare

KILLS = 20
CANCELS = 50
AT_ONCE = 10  # streams that run while some are cancelled
STREAMED_S = 0.3  # a stream is under way for so long before it is cancelled


def measure(scale: float) -> list[Figure]:
    """Kill and cancel, many times."""
    prepare()
    kills = max(2, int(KILLS * scale))
    workers = _kill_workers(kills)
    children = _kill_children(kills)
    cancels = _cancel(max(AT_ONCE, int(CANCELS * scale)))
    wrong = sum(count(run) != 1 for run in _runs)
    return [
        _figure("worker killed -9 to its step running again, p95", workers, 0.95, 8.0),
        _figure("prefork child killed to its step running again, p95", children, 0.95, 1.0),
        bounded(
            "jobs whose effect is there twice, or not at all", wrong, "jobs", at_most=0,
            note=f"of {len(_runs)} that were hit",
        ),
        _figure("cancel to cancelled in mid-token, p99", cancels, 0.99, 1.0),
    ]  # fmt: skip


def _figure(name: str, seconds: list[float], share: float, at_most: float) -> Figure:
    note = f"{len(seconds)} times; median {median(seconds):.2f} s, longest {max(seconds):.2f} s"
    return bounded(name, percentile(seconds, share), "s", at_most=at_most, note=note)


def _kill_workers(kills: int) -> list[float]:
    from bench.pipelines import on_threads

    waits = []
    with ExitStack() as stack:
        stack.enter_context(worker("io", "bench.worker", slots=2, name="io0"))
        for number in range(1, kills + 1):
            stack.enter_context(worker("io", "bench.worker", slots=2, name=f"io{number}"))
            waits.append(_until_again(on_threads, _kill_group))
    return waits


def _kill_children(kills: int) -> list[float]:
    from bench.pipelines import on_children

    with worker("cpu", "bench.worker", slots=2):
        return [_until_again(on_children, _kill_one) for _ in range(kills)]


def _kill_group(pid: int) -> None:
    os.killpg(os.getpgid(pid), signal.SIGKILL)


def _kill_one(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


_runs: list[str] = []  # each must have left one row


def _until_again(pipeline: Any, kill: Callable[[int], None]) -> float:
    """Return the seconds from the kill to the step's next attempt, and let the job end."""
    run = uuid4().hex
    _runs.append(run)
    job_id = start(pipeline, run)
    pid = int(hear()["pid"])
    time.sleep(0.5)
    killed_at = time.time()
    kill(pid)
    again = float(hear()["at"]) - killed_at
    allow(run)
    wait_until(partial(_all, [job_id], "succeeded"), "the job that was hit")
    return again


def _cancel(cancels: int) -> list[float]:
    from bench.pipelines import speaking

    waits: list[float] = []
    with worker("stream", "bench.worker", slots=AT_ONCE):
        while len(waits) < cancels:
            jobs = [start(speaking, uuid4().hex) for _ in range(AT_ONCE)]
            wait_until(partial(_all, jobs, "running"), "streams")
            time.sleep(STREAMED_S)
            for job_id in jobs:
                asked_at = time.monotonic()
                _ask_to_stop(job_id)
                wait_until(partial(_all, [job_id], "cancelled"), "a cancel")
                waits.append(time.monotonic() - asked_at)
    return waits


def _ask_to_stop(job_id: UUID) -> None:
    from config.db import connection
    from models.jobs import lifecycle

    with connection() as conn:
        lifecycle.request_cancel(conn, job_id)


def _all(jobs: list[UUID], status: str) -> bool:
    from sqlalchemy import select

    from config.db import single_statement
    from models.jobs.tables import job

    with single_statement() as conn:
        found = conn.execute(select(job.c.status).where(job.c.id.in_(jobs))).scalars().all()
    return all(one == status for one in found)
