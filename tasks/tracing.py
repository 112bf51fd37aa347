"""What is traced of a job: where it was started, itself, each attempt of its steps, model calls.

Its row keeps the traceparent of the span that started it, so that an attempt has its place in the
trace wherever and whenever it runs; messages carry ids only. The job's own span, of which those of
attempts are children, has a derived id, and is sent by the dispatcher when the job has ended.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from config import tracing
from config.db import connection
from config.tracing import Span
from models.base import now
from models.jobs import dispatch, traces
from models.jobs.claims import Claim
from models.jobs.plan import Json

ENDED_AT_ONCE = 500


def begin(conn: Connection, pipeline: str, *after: UUID | None) -> str | None:
    """Return the traceparent of the span that starts a job, linked to the jobs it comes after.

    None while tracing is off.
    """
    if not tracing.is_on():
        return None
    links = [
        job_span(job_id, told)
        for job_id, told in traces.traceparents(conn, [one for one in after if one]).items()
    ]
    about = {"longrun.pipeline": pipeline}
    with tracing.span(
        f"enqueue {pipeline}", kind="producer", attributes=about, links=links
    ) as span:
        return span.traceparent


def begin_again(conn: Connection, job_id: UUID, pipeline: str) -> None:
    """Let a job that is resumed go on in the trace of whoever resumes it, linked to its own."""
    if told := begin(conn, pipeline, job_id):
        traces.put_traceparent(conn, job_id, told)


def job_span(job_id: UUID, started_by: str) -> str:
    """Return the traceparent of a job's own span."""
    return _derived(started_by, str(job_id))


def _derived(traceparent: str, of: str) -> str:
    """Return the traceparent of another span of the trace, always the same one `of` something."""
    version, trace, _, flags = traceparent.split("-")
    own = hashlib.sha256(f"{of} {traceparent}".encode()).hexdigest()[:16]
    return f"{version}-{trace}-{own}-{flags}"


@contextmanager
def attempt(claim: Claim, node: UUID) -> Iterator[None]:
    """Tell of one attempt of a step. One of a job that is not traced is not traced either."""
    if not tracing.is_on():
        yield
        return
    traced = claim.traceparent and job_span(claim.job_id, claim.traceparent)
    about = {
        "longrun.job.id": str(claim.job_id),
        "longrun.pipeline": claim.pipeline,
        "longrun.step.id": str(claim.step_id),
        "longrun.step.name": claim.name,
        "longrun.step.item": claim.item_index if claim.item_key else None,
        "longrun.step.queue": claim.queue,
        "longrun.step.attempt": claim.attempt,
        "longrun.step.max_attempts": claim.max_attempts,
        "longrun.step.epoch": claim.epoch,
        "longrun.node.id": str(node),
        "longrun.step.outcome": "succeeded",  # unless `note_end` says otherwise
    }
    untraced = f"00-{claim.job_id.hex}-{claim.job_id.hex[16:]}-00"
    name = f"{claim.pipeline}.{claim.name}"
    with tracing.span(name, attributes=about, parent=traced or untraced):
        yield


@contextmanager
def delivery(job_id: UUID) -> Iterator[Span]:
    """Tell of a webhook's delivery, in the trace of the job that it speaks of, if that has one."""
    if not tracing.is_on():
        yield Span()
        return
    with connection() as conn:
        known = traces.traceparents(conn, [job_id])
    parent = job_span(job_id, known[job_id]) if job_id in known else None
    here = tracing.current().traceparent if parent else None
    with tracing.span(
        "deliver webhook",
        kind="client",
        attributes={"longrun.job.id": str(job_id), "http.request.method": "POST"},
        parent=parent,
        links=[here] if here else [],
    ) as span:
        yield span


def note_end(outcome: str | BaseException, failed: BaseException | None = None) -> None:
    """Tell what has become of the attempt that runs here; a way to stop is named by its class."""
    if isinstance(outcome, BaseException):
        outcome = re.sub(r"\B(?=[A-Z])", "_", type(outcome).__name__).lower()
    here = tracing.current()
    here.tell({"longrun.step.outcome": outcome})
    if failed is not None:
        here.fail(getattr(failed, "code", type(failed).__name__))


def tell_lost(row: Row[Any], error: Json) -> None:
    """Send the span of an attempt whose worker cannot any more; `row` is its step as it ran."""
    if not tracing.is_on():
        return
    with connection() as conn:
        known = traces.traceparents(conn, [row.job_id])
        pipeline = dispatch.version_of(conn, row.job_id)[0] if known else ""
    if row.job_id not in known:
        return
    parent = job_span(row.job_id, known[row.job_id])
    tracing.report(
        f"{pipeline}.{row.name}",
        own=_derived(parent, f"{row.id} {row.epoch}"),
        parent=parent,
        since=row.started_at,
        until=now(),
        attributes={
            "longrun.job.id": str(row.job_id),
            "longrun.pipeline": pipeline,
            "longrun.step.id": str(row.id),
            "longrun.step.name": row.name,
            "longrun.step.queue": row.queue,
            "longrun.step.attempt": row.attempt,
            "longrun.step.epoch": row.epoch,
            "longrun.node.id": str(row.node),
            "longrun.step.outcome": "lost",
        },
        failed=error["code"],
    )


def tell_ended() -> int:
    """Send the spans of jobs that have ended, each once; return how many."""
    if not tracing.is_on():
        return 0
    with connection() as conn:
        ended = traces.take_ended(conn, ENDED_AT_ONCE)
    for row in ended:
        error = (row.error or {}).get("code", "failed") if row.status == "failed" else None
        tracing.report(
            f"job {row.pipeline}",
            own=job_span(row.id, row.traceparent),
            parent=row.traceparent,
            since=row.since,
            until=row.finished_at,
            attributes={
                "longrun.job.id": str(row.id),
                "longrun.pipeline": row.pipeline,
                "longrun.job.status": row.status,
                "longrun.job.priority": row.priority,
            },
            failed=error,
        )
    return len(ended)


def model_call(operation: str, request: dict[str, Any]) -> AbstractContextManager[Span]:
    """Tell of a call of a model, by OpenTelemetry's conventions for generative AI.

    Source: OpenTelemetry, "Semantic conventions for generative client AI spans". What is asked and
    answered, which they leave to choice, is never told.
    """
    model = request["model"]
    about = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": model.partition("/")[0],
        "gen_ai.request.model": model.partition("/")[2] or model,
        "gen_ai.request.temperature": request.get("temperature"),
        "gen_ai.request.max_tokens": request.get("max_tokens"),
        "gen_ai.output.type": "json" if "response_format" in request else None,
    }
    name = f"{operation} {about['gen_ai.request.model']}"
    return tracing.span(name, kind="client", attributes=about, current=False)


def note_answer(call: Span, answer: Any) -> None:
    """Tell which model has answered (LiteLLM's answer, or a piece of one), and what it has used."""
    usage = getattr(answer, "usage", None)
    call.tell(
        {
            "gen_ai.response.model": getattr(answer, "model", None),
            "gen_ai.usage.input_tokens": getattr(usage, "prompt_tokens", None),
            "gen_ai.usage.output_tokens": getattr(usage, "completion_tokens", None),
        }
    )
