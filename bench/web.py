"""The API that also knows the benchmarks' pipelines, and an empty route to compare with."""

import bench.pipelines  # noqa: F401 — declares them
from api.app import app

__all__ = ["app"]


@app.post("/bench/empty", status_code=202)
def do_nothing(body: dict[str, str]) -> dict[str, str]:
    """Take a body and answer."""
    return body
