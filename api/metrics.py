"""What is told to Prometheus: what Postgres knows, and what this process has answered."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)  # fmt: skip
from prometheus_client.registry import Collector
from starlette.types import Scope

from api.limits import failed_open
from api.streams import current_hub
from config.db import connection
from config.settings import settings
from models.costs.tables import MICRO
from models.costs.totals import call_figures
from models.counters import totals
from models.jobs import nodes, queries
from models.schedules import firing
from models.webhooks.deliveries import waiting_figures

REGISTERED = CollectorRegistry()
NO_ROUTE = "unmatched"  # one label for all of them: paths that do not exist are without number
READING = "books.ingest"
TOLD = {  # the document's words for how a job has ended
    "succeeded": "success", "succeeded_degraded": "success", "failed": "failed",
    "cancelled": "cancelled",
}  # fmt: skip

Counted = dict[str, dict[str, float]]  # by name and label, as `models.counters` keeps them

_requests = Counter(
    "http_requests", "Requests answered.", ["method", "endpoint", "status_code"],
    registry=REGISTERED,
)  # fmt: skip
_durations = Histogram(
    "http_request_duration_seconds", "Until the last byte of the answer.", ["method", "endpoint"],
    registry=REGISTERED,
)  # fmt: skip
_in_progress = Gauge("http_requests_in_progress", "Requests under way.", registry=REGISTERED)


class Answered:
    """What became of a request; 500 until something was answered."""

    status = 500


@contextmanager
def request_counted(scope: Scope) -> Iterator[Answered]:
    """Count a request under its route's path, whatever becomes of it."""
    answered, began = Answered(), time.perf_counter()
    _in_progress.inc()
    try:
        yield answered
    finally:
        _in_progress.dec()
        endpoint = getattr(scope.get("route"), "path", NO_ROUTE)
        _requests.labels(scope["method"], endpoint, answered.status).inc()
        _durations.labels(scope["method"], endpoint).observe(time.perf_counter() - began)


class _Kept(Collector):
    """Reads what is kept in Postgres at each scrape, so that any API process serves."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the engine and of the products."""
        with connection() as conn:
            jobs = queries.job_figures(conn)
            yield from _queue_metrics(queries.queue_figures(conn))
            yield from _job_metrics(jobs)
            yield from _step_metrics(queries.step_latencies(conn))
            counted = totals(conn)
            yield from _book_metrics(jobs, counted)
            yield from _schedule_metrics(firing.lateness_s(conn), counted)
            yield from _webhook_metrics(waiting_figures(conn), counted)
            yield from _model_metrics(call_figures(conn), counted)
            live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
            yield from _waiting_metrics(queries.waiting_figures(conn))
        slots = GaugeMetricFamily("longrun_slots", "Steps that can run at once.", labels=["queue"])
        for queue, count in nodes.slots(live).items():
            slots.add_metric([queue], count)
        yield slots
        yield GaugeMetricFamily("longrun_nodes", "Live workers.", value=len(live))
        yield GaugeMetricFamily(
            "longrun_nodes_draining",
            "Of those, workers that hand over what they run.",
            value=sum(node.draining for node in live),
        )
        yield GaugeMetricFamily("processing_active_workers", "Live workers.", value=len(live))
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


def _waiting_metrics(waiting: dict[str, int]) -> Iterator[Metric]:
    reasons = GaugeMetricFamily(
        "longrun_waiting", "Jobs, or steps, that wait in Postgres.", labels=["reason"]
    )
    for reason, count in waiting.items():
        reasons.add_metric([reason], count)
    yield reasons


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


def _schedule_metrics(late_s: float, counted: Counted) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "longrun_schedules_late_seconds", "Since the fire that waits longest.", value=late_s
    )
    yield _by_label(
        "longrun_schedule_fires", "Fires ever; missed: nobody was there.", "status",
        ("started", "waiting", "skipped", "missed", "failed"), counted.get("schedule_fires", {}),
    )  # fmt: skip


def _webhook_metrics(waiting: Any, counted: Counted) -> Iterator[Metric]:
    yield _by_label(
        "longrun_webhook_attempts", "Attempts to deliver; pending: there is to be another.",
        "status", ("delivered", "pending", "failed"), counted.get("webhook_attempts", {}),
    )  # fmt: skip
    for name, told, value in (
        ("pending", "Deliveries that are still tried.", waiting.pending),
        ("oldest_seconds", "Since the oldest of them was to be told.", waiting.oldest_s),
        ("late_seconds", "Since the attempt that is due the longest.", waiting.late_s or 0),
    ):
        yield GaugeMetricFamily(f"longrun_webhook_{name}", told, value=float(value))


def _by_label(
    name: str, told: str, label: str, values: tuple[str, ...], counted: dict[str, float]
) -> Metric:
    family = CounterMetricFamily(name, told, labels=[label])
    for value in values:
        family.add_metric([value], counted.get(value, 0.0))
    return family


def _model_metrics(rows: list[Any], counted: Counted) -> Iterator[Metric]:
    labels = ["model", "purpose"]
    calls = CounterMetricFamily("longrun_model_calls", "Paid calls.", labels=labels)
    unpriced = CounterMetricFamily(
        "longrun_model_calls_unpriced", "Paid calls of unknown price.", labels=labels
    )
    cost = CounterMetricFamily("longrun_model_cost_usd", "What they cost.", labels=labels)
    tokens = CounterMetricFamily("longrun_model_tokens", "Tokens.", labels=[*labels, "kind"])
    for row in rows:
        which = [row.model, row.purpose]
        calls.add_metric(which, float(row.calls))
        unpriced.add_metric(which, float(row.unpriced))
        cost.add_metric(which, float(row.cost_microusd) / MICRO)
        for kind in ("prompt", "completion", "cached"):
            tokens.add_metric([*which, kind], float(getattr(row, f"{kind}_tokens")))
    yield from (calls, unpriced, cost, tokens)
    yield CounterMetricFamily(
        "longrun_provider_limits_failed_open",
        "Calls of models that passed uncounted because Redis was away.",
        value=counted.get("provider_limits_failed_open", {}).get("", 0.0),
    )


def _book_metrics(jobs: list[Any], counted: Counted) -> Iterator[Metric]:
    readings = [row for row in jobs if row.pipeline == READING]
    yield CounterMetricFamily(
        "processing_jobs_queued", "Books brought.", value=float(sum(row.jobs for row in readings))
    )
    processed = CounterMetricFamily("processing_jobs_processed", "Books read.", labels=["status"])
    ended: dict[str, float] = dict.fromkeys(TOLD.values(), 0.0)
    for row in readings:
        if row.status in TOLD:
            ended[TOLD[row.status]] += float(row.jobs)
    for status, count in ended.items():
        processed.add_metric([status], count)
    yield processed
    found = counted.get("characters_extracted", {}).get("", 0.0)
    yield CounterMetricFamily("processing_characters_extracted", "Characters found.", value=found)
    voiced = CounterMetricFamily(
        "processing_characters_processed", "Characters asked about.", labels=["status"]
    )
    for status in ("success", "failed"):
        voiced.add_metric([status], counted.get("characters_processed", {}).get(status, 0.0))
    yield voiced
    spent = SummaryMetricFamily(
        "processing_pipeline_duration_seconds", "Of books that were read.", labels=["phase"]
    )
    for phase, seconds in counted.get("phase_seconds", {}).items():
        spent.add_metric([phase], int(counted["phase_runs"][phase]), seconds)
    yield spent


REGISTERED.register(_Kept())
REGISTERED.register(failed_open)
