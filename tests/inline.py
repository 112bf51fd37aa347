"""Runs jobs in the test's own process: hints go straight to the runner, without a broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from api.streams import Hub
from config.db import connection
from models.jobs import hints
from tasks import admission
from tasks.pipeline import REGISTRY
from tasks.runner import carry_out
from tests.web import app

QUEUES = ("io", "cpu", "stream", "booknlp")


def drain(limit: int = 500) -> int:
    """Run all that is due, and all that becomes due by it; return how many hints there were."""
    for done in range(limit):
        due: list[hints.Hint] = []
        admission.admit_after("")
        for queue in QUEUES:
            with connection() as conn:
                due += hints.take_due(conn, queue, 100)
        if not due:
            return done
        for hint in due:
            for link in (hint, *hint.then):
                if not run(link):
                    break
    raise AssertionError("there is no end to it")


def run(hint: hints.Hint) -> bool:
    pipeline = REGISTRY[hint.pipeline]
    spec = pipeline.steps[hint.name]
    return carry_out(pipeline, spec, hint.job_id, hint.step_id, hint.generation)


@asynccontextmanager
async def api(**headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in this process, with its hub running."""

    async with (
        Hub().running(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://test",
            headers=headers,
        ) as client,
    ):
        yield client
