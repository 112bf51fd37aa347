"""The API that also knows the tests' own pipelines."""

import tests.keyed_pipelines
import tests.pipelines  # noqa: F401 — both declare them
from api.app import app

__all__ = ["app"]
