"""Attempts that could not tell of themselves."""

from datetime import timedelta

from sqlalchemy import select, update

from config import tracing
from config.db import connection
from models.base import new_id, now
from models.jobs.tables import StepStatus, step
from tasks.dispatcher import WORKER_LOST, release_all
from tasks.tracing import tell_ended
from tests.inline import drain
from tests.otlp_receiver import Receiver
from tests.pipelines import line
from tests.stack import start


def test_an_attempt_whose_worker_died_is_told_of_by_who_finds_that(
    owner: None, collector: Receiver
) -> None:
    job_id, node = start(line), new_id()
    running = {
        "status": StepStatus.RUNNING, "node": node, "pid": 1, "attempt": 1, "epoch": 1,
        "started_at": now() - timedelta(seconds=9), "lease_until": now(),
    }  # fmt: skip
    mine = (step.c.job_id == job_id) & (step.c.position == 0)
    with connection() as conn:
        conn.execute(update(step).where(mine).values(running))
        rows = list(conn.execute(select(step).where(mine)))

    release_all(rows, WORKER_LOST)
    release_all(rows, WORKER_LOST)
    drain()
    tell_ended()
    tracing.flush()

    job = collector.named("job tests.line")
    attempts = [one for one in collector.spans if one.name == "tests.line.write_first"]
    lost, again = sorted(attempts, key=lambda one: one.began)
    assert (lost.parent, again.parent, lost.trace) == (job.id, job.id, job.trace)
    assert lost.failed
    assert lost.attributes["error.type"] == "worker_lost"
    assert lost.attributes["longrun.step.outcome"] == "lost"
    assert lost.attributes["longrun.node.id"] == str(node)
    assert 9 <= lost.lasted_s < 100
    assert (again.attributes["longrun.step.attempt"], again.failed) == (2, False)
