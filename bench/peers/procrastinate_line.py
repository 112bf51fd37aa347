"""Procrastinate: a line of four tasks, each with a Postgres commit of work, each sending the next.

It has no chains; a task that ends by deferring its successor is how its documentation does it. Run
as a program it takes lines `line RUN N` and answers each when N lines are under way; the driver
counts rows. One process works with as many jobs at once as the other contenders have slots; its
tasks are synchronous functions, as theirs are, and run in threads.
"""

import asyncio
import os
import sys
import threading
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from bench.work import INSERT

SLOTS = int(os.environ.get("BENCH_SLOTS", "4"))
STEPS = 4
SCHEMA = "procrastinate"

app = App(
    connector=PsycopgConnector(
        conninfo=os.environ["DATABASE_URL"], min_size=2, max_size=SLOTS + 4,
        kwargs={"options": f"-c search_path={SCHEMA},public"},
    )
)  # fmt: skip
_local = threading.local()


@app.task(name="work")
def work(run: str, step: int) -> None:
    """Insert a row and commit; then send the next of the line."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["DATABASE_URL"])
    conn: psycopg.Connection[Any] = _local.connection
    conn.execute(INSERT, {"run": run, "step": step})
    conn.commit()
    if step < STEPS:
        work.defer(run=run, step=step + 1)


async def serve() -> None:
    """Work, and start what the driver asks for."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=SLOTS, install_signal_handlers=False)
        )
        await asyncio.sleep(0.5)  # it listens by then
        print("ready", flush=True)
        while asked := (await asyncio.to_thread(sys.stdin.readline)).split():
            _, run, number = asked
            for _ in range(int(number)):
                await work.defer_async(run=run, step=1)
            print("done", flush=True)
        worker.cancel()


if __name__ == "__main__":
    asyncio.run(serve())
