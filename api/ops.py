"""What operators and their machines ask: does it live, can it work, how is it doing."""

from collections.abc import Iterator
from typing import Any

import redis
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from api.limits import failed_open
from api.streams import current_hub
from config.db import connection
from config.redis import client
from config.settings import settings
from models.jobs import nodes, queries
from pipelines import REGISTRY

router = APIRouter(tags=["operations"])
NO_STORE = {"Cache-Control": "no-store"}


@router.get("/health", responses={200: {"content": {"text/plain": {}}}})
def health(request: Request) -> Response:
    """The process lives. Checks nothing else."""
    if request.headers.get("accept", "").startswith("text/plain"):
        return PlainTextResponse("ok", headers=NO_STORE)
    return JSONResponse({"status": "ok", "service": "longrun"}, headers=NO_STORE)


@router.get("/ready")
def ready() -> Response:
    """Whether jobs can be taken and run: Postgres, Redis, and workers that know the pipelines."""
    missing = {name: why for name, why in (*_stores(), *_workers()) if why}
    body: dict[str, Any] = {"status": "unavailable" if missing else "ready", "missing": missing}
    return JSONResponse(body, status_code=503 if missing else 200, headers=NO_STORE)


def _stores() -> Iterator[tuple[str, str | None]]:
    try:
        client().ping()
        yield "redis", None
    except (redis.RedisError, OSError) as error:
        yield "redis", f"cannot be reached: {type(error).__name__}"


def _workers() -> Iterator[tuple[str, str | None]]:
    try:
        with connection() as conn:
            live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
    except DBAPIError as error:
        yield "postgres", f"cannot be reached: {type(error).__name__}"
        return
    for pipeline in REGISTRY.values():
        for queue in sorted({spec.options.queue for spec in pipeline.specs}):
            if not any(
                queue in node.slots and node.fingerprints.get(pipeline.name) == pipeline.fingerprint
                for node in live
                if not node.draining
            ):
                yield f"worker:{queue}", f"no live worker runs {pipeline.name} on queue {queue}"


class _EngineCollector(Collector):
    """Reads the engine's figures from Postgres at each scrape, so that any API process serves."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the engine."""
        with connection() as conn:
            yield from _queue_metrics(queries.queue_figures(conn))
            yield from _job_metrics(queries.job_figures(conn))
            yield from _step_metrics(queries.step_latencies(conn))
            live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
        slots = GaugeMetricFamily("longrun_slots", "Steps that can run at once.", labels=["queue"])
        for queue, count in nodes.slots(live).items():
            slots.add_metric([queue], count)
        yield slots
        yield GaugeMetricFamily("longrun_nodes", "Live workers.", value=len(live))
        yield GaugeMetricFamily(
            "longrun_streams_open", "Streams open here.", value=current_hub().readers
        )


def _queue_metrics(rows: list[Any]) -> Iterator[Metric]:
    depth = GaugeMetricFamily("longrun_steps", "Steps by state.", labels=["queue", "status"])
    age = GaugeMetricFamily(
        "longrun_steps_oldest_seconds", "Age of the oldest.", labels=["queue", "status"]
    )
    for row in rows:
        depth.add_metric([row.queue, row.status], row.steps)
        age.add_metric([row.queue, row.status], float(row.oldest_s))
    yield depth
    yield age


def _job_metrics(rows: list[Any]) -> Iterator[Metric]:
    jobs = CounterMetricFamily("longrun_jobs", "Jobs ever.", labels=["pipeline", "status"])
    for row in rows:
        jobs.add_metric([row.pipeline, row.status], float(row.jobs))
    yield jobs


def _step_metrics(rows: list[Any]) -> Iterator[Metric]:
    labels = ["pipeline", "step"]
    spent = GaugeMetricFamily("longrun_step_seconds_sum", "Last hour's run time.", labels=labels)
    count = GaugeMetricFamily("longrun_step_seconds_count", "Last hour's steps.", labels=labels)
    attempts = GaugeMetricFamily("longrun_step_attempts", "Last hour's attempts.", labels=labels)
    for row in rows:
        spent.add_metric([row.pipeline, row.name], float(row.seconds))
        count.add_metric([row.pipeline, row.name], row.steps)
        attempts.add_metric([row.pipeline, row.name], row.attempts)
    yield from (spent, count, attempts)


_registry = CollectorRegistry()
_registry.register(_EngineCollector())
_registry.register(failed_open)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics() -> Response:
    """The engine's figures in Prometheus' text format."""
    return Response(generate_latest(_registry), media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)
