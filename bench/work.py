"""The work that every contender does, and how the driver hears of it."""

import os
import time
from functools import cache
from typing import Any

import psycopg
import redis

TABLE = """
CREATE TABLE IF NOT EXISTS bench_work (id bigserial PRIMARY KEY, run text, step int);
CREATE INDEX IF NOT EXISTS bench_work_run ON bench_work (run)
"""
INSERT = "INSERT INTO bench_work (run, step) VALUES (%(run)s, %(step)s)"
COUNT = "SELECT count(*) FROM bench_work WHERE run = %(run)s"
BELL = "bench:bell"  # a Redis list


def ring(**told: Any) -> None:
    """Tell the driver that something happens now, and in which process."""
    fields = "\t".join(f"{name}={value}" for name, value in told.items())
    _redis().rpush(BELL, f"at={time.time()!r}\tpid={os.getpid()}\t{fields}")


def hear(timeout_s: float = 60.0) -> dict[str, str]:
    """Wait for the next bell. Raises TimeoutError."""
    heard: Any = _redis().blpop([BELL], timeout=timeout_s)
    if heard is None:
        raise TimeoutError(f"nothing was heard for {timeout_s:g} s")
    return dict(pair.split("=", 1) for pair in heard[1].decode().split("\t"))


def allow(run: str) -> None:
    """Let the steps of a run end that ask whether they may."""
    _redis().set(f"bench:allowed:{run}", 1, ex=600)


def allowed(run: str) -> bool:
    """Say whether the driver has let the steps of a run end."""
    return bool(_redis().exists(f"bench:allowed:{run}"))


_clients: dict[int, "redis.Redis"] = {}


def _redis() -> "redis.Redis":
    pid = os.getpid()  # also after a fork
    if pid not in _clients:
        _clients[pid] = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=120)
    return _clients[pid]


@cache
def _store() -> "psycopg.Connection[Any]":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def count(run: str) -> int:
    """Return how many steps of a run are committed."""
    row = _store().execute(COUNT, {"run": run}).fetchone()
    assert row is not None
    return int(row[0])


def insert(run: str, step: int) -> None:
    """Insert one row and commit."""
    _store().execute(INSERT, {"run": run, "step": step})


def prepare() -> None:
    """Create the table that the work goes to."""
    _store().execute(TABLE)
