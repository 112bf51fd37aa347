"""A Celery worker that also knows the pipelines of the benchmarks."""

import os
from pathlib import Path
from typing import Any

from celery import signals

import bench.pipelines  # noqa: F401 — declares them
from tasks.celery import app

__all__ = ["app"]


@signals.worker_ready.connect
def _say_so(**_: Any) -> None:
    Path(os.environ["BENCH_READY"]).touch()
