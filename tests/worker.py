"""A Celery worker that also knows the tests' own pipelines: `celery -A tests.worker worker`."""

import tests.keyed_pipelines
import tests.pipelines  # noqa: F401 — both declare them
from tasks.celery import app

__all__ = ["app"]
