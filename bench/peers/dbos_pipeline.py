"""DBOS: a workflow of four transactions, started directly or through its queue.

Run as a program it takes lines `direct RUN N` and `queue RUN N` and answers each when all N
workflows are done. Transactions go through its SQLAlchemy data source, which commits the work
together with the record of the step, at READ COMMITTED as everybody else here.
"""

import os
import sys
from collections.abc import Callable

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SQLAlchemyDatasource

from bench.pipelines import WORK

QUEUE = "bench"
SLOTS = 8  # more made it slower on two cores


def main() -> None:
    """Serve the driver."""
    url = sa.make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")
    address = url.render_as_string(hide_password=False)
    config = DBOSConfig(
        name="bench", system_database_url=address, log_level="ERROR", max_executor_threads=SLOTS
    )
    DBOS(config=config)
    source = SQLAlchemyDatasource.create(database_url=address)

    def insert(run: str, step: int) -> None:
        source.sql_session().execute(WORK, {"run": run, "step": step})

    @DBOS.workflow()
    def line(run: str) -> None:
        for step in range(1, 5):
            source.run_tx_step({"isolation_level": "READ COMMITTED"}, insert, run, step)

    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=SLOTS, polling_interval_sec=0.1)
    _serve(line)


def _serve(line: Callable[[str], None]) -> None:
    print("ready", flush=True)
    for asked in sys.stdin:
        kind, run, number = asked.split()
        handles = [
            DBOS.enqueue_workflow(QUEUE, line, run)
            if kind == "queue"
            else DBOS.start_workflow(line, run)
            for _ in range(int(number))
        ]
        for handle in handles:
            handle.get_result()
        print("done", flush=True)


if __name__ == "__main__":
    main()
