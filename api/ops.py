"""What operators and their machines ask: does it live, can it work, how is it doing."""

from collections.abc import Iterator
from typing import Any

import redis
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import DBAPIError

from api.metrics import REGISTERED
from config.db import connection
from config.redis import client
from config.settings import settings
from models.jobs import nodes
from pipelines import REGISTRY

router = APIRouter(tags=["operations"])


@router.get("/health", responses={200: {"content": {"text/plain": {}}}})
def health(request: Request) -> Response:
    """The process lives. Checks nothing else."""
    if request.headers.get("accept", "").startswith("text/plain"):
        return PlainTextResponse("ok")
    return JSONResponse({"status": "ok", "service": "longrun"})


@router.get("/ready")
def ready() -> Response:
    """Whether jobs can be taken and run: Postgres, Redis, and workers that know the pipelines."""
    missing = {name: why for name, why in (*_stores(), *_workers()) if why}
    body: dict[str, Any] = {"status": "unavailable" if missing else "ready", "missing": missing}
    return JSONResponse(
        body, status_code=503 if missing else 200, headers={"Cache-Control": "no-store"}
    )


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
        for queue in sorted(
            {one.options.queue for one in pipeline.specs if not one.options.dispensable}
        ):
            if not any(
                queue in node.slots and node.fingerprints.get(pipeline.name) == pipeline.fingerprint
                for node in live
                if not node.draining
            ):
                yield f"worker:{queue}", f"no live worker runs {pipeline.name} on queue {queue}"


@router.get("/metrics", response_class=PlainTextResponse)
def metrics() -> Response:
    """Figures in Prometheus' text format: the engine's, the products', this process's requests."""
    return Response(generate_latest(REGISTERED), media_type=CONTENT_TYPE_LATEST)
