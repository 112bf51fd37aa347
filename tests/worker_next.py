"""A worker of the next release, in which `tests.line` has a step more.

`celery -A tests.worker_next worker`.
"""

from pydantic import BaseModel

from tasks.celery import app
from tasks.pipeline import Pipeline
from tests.pipelines import First, Numbers, flaky_step, on_cpu, write_first, write_last

__all__ = ["app", "next_line"]


class Inspected(BaseModel):
    value: int


def inspect(first: First) -> Inspected:
    return Inspected(value=first.value)


next_line = Pipeline(
    "tests.line", write_first, inspect, flaky_step, on_cpu, write_last, input=Numbers
)
