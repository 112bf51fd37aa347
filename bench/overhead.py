"""What one step costs over one bare Celery task, on the same broker and the same kind of pool."""

import time
from collections.abc import Callable
from uuid import uuid4

from bench.figures import Figure, compared, median
from bench.servers import worker
from bench.throughput import start
from bench.work import hear, prepare

ROUNDS = 100


def measure(scale: float) -> list[Figure]:
    """Start one at a time, in turn, on empty queues; measure until its function runs."""
    prepare()
    from bench.peers.celery_chain import tell
    from bench.pipelines import single

    ours: list[float] = []
    bare: list[float] = []
    with (
        worker("cpu", "bench.worker", slots=2),
        worker("bare", "bench.peers.celery_chain", slots=2, pool="prefork"),
    ):
        for number in range(int(ROUNDS * scale) + 10):
            mine = _until_heard(lambda run: start(single, run))
            theirs = _until_heard(lambda run: tell.delay(run))
            if number >= 10:  # the first ones warm up
                ours.append(mine)
                bare.append(theirs)
    note = "recorded, claimed and completed in Postgres"
    return [
        compared(
            "start of a job to its function running, p50", 1000 * median(ours), "ms",
            1000 * median(bare), "bare Celery task", note=note,
        )
    ]  # fmt: skip


def _until_heard(begin: Callable[[str], object]) -> float:
    run = uuid4().hex
    began = time.time()
    begin(run)
    heard = hear()
    assert heard["run"] == run
    return float(heard["at"]) - began
