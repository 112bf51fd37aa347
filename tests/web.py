"""The API that also knows the tests' own pipelines."""

import tests.pipelines  # noqa: F401 — declares them
from api.app import app

__all__ = ["app"]
