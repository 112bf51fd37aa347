"""Bare Celery: a task, and a chain of four tasks with one Postgres commit each.

Late acknowledgement and no results, as Longrun's workers have it. Each process, or thread of the
pool, keeps one connection open.
"""

import os
import threading
from pathlib import Path
from typing import Any

import psycopg
from celery import Celery, chain, signals

from bench.work import INSERT, ring

app = Celery("bare", broker=os.environ["REDIS_URL"].replace("unix://", "redis+socket://", 1))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    task_default_queue="bare",
    worker_send_task_events=True,
)
_connections: dict[tuple[int, int], "psycopg.Connection[Any]"] = {}


def _connection() -> "psycopg.Connection[Any]":
    mine = os.getpid(), threading.get_ident()
    if mine not in _connections:
        _connections[mine] = psycopg.connect(os.environ["DATABASE_URL"])
    return _connections[mine]


@app.task
def work(run: str, step: int) -> None:
    """Insert a row and commit."""
    conn = _connection()
    conn.execute(INSERT, {"run": run, "step": step})
    conn.commit()


@app.task
def tell(run: str) -> None:
    """Tell the driver."""
    ring(run=run)


def start(run: str) -> None:
    """Send off one chain of four."""
    chain(*(work.si(run, number) for number in range(1, 5))).apply_async()


@signals.worker_ready.connect
def _say_so(**_: Any) -> None:
    Path(os.environ["BENCH_READY"]).touch()
