"""A Celery worker that also knows the tests' own pipelines: `celery -A tests.worker worker`."""

import tests.pipelines  # noqa: F401 — declares them
from tasks.celery import app

__all__ = ["app"]
