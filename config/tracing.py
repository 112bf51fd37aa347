"""OpenTelemetry traces, while an exporter is configured; without one nothing of it is loaded.

A span names routes, pipelines, steps and models, and the ids of rows. What somebody has sent or
got, paths and queries included, is in none. An exporter that is away costs spans, and nothing else:
they are sent by a thread of their own from a bounded queue.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from config.settings import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span as RealSpan
    from opentelemetry.trace import SpanContext

Value = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, Value | None]  # None: is left out
Kind = Literal["internal", "client", "producer"]

SCOPE = "longrun"
LEAVE_S = 2.0  # a process that ends waits for its exporter no longer
HIDDEN = "REDACTED"
SOMEBODYS = ("url.path", "url.query")  # they may hold tokens; `http.route` says what was asked


def is_on() -> bool:
    """Say whether there is somewhere to send traces to."""
    otel = settings.otel
    configured = otel.exporter_otlp_traces_endpoint or otel.exporter_otlp_endpoint
    return bool(configured) and not otel.sdk_disabled and otel.traces_exporter != "none"


class Span:
    """Something under way, to tell more of; while tracing is off, nothing."""

    def __init__(self, real: "RealSpan | None" = None) -> None:
        """Speak of `real`."""
        self._real = real

    def tell(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self._real is not None:
            self._real.set_attributes(_given(attributes))

    def fail(self, kind: str) -> None:
        """Mark it as failed. What kind of error it was is told, not its message."""
        if self._real is not None:
            from opentelemetry.trace import StatusCode

            self._real.set_attribute("error.type", kind)
            self._real.set_status(StatusCode.ERROR)

    @property
    def traceparent(self) -> str | None:
        """Itself as W3C Trace Context has it; None while tracing is off."""
        if self._real is None:
            return None
        own = self._real.get_span_context()
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    parent: str | None = None,
    links: Sequence[str] = (),
    current: bool = True,
) -> Iterator[Span]:
    """Tell of what the block does, under the traceparent `parent`, else under the current span.

    `current=False`: spans within the block are not under it; for generators, whose block is left
    and entered again.
    """
    if not is_on():
        yield Span()
        return
    real = _started(name, kind, attributes or {}, parent, links)
    told = Span(real)
    try:
        with _entered(real) if current else nullcontext():
            yield told
    except BaseException as error:
        if not isinstance(error, GeneratorExit):  # whoever listened has had enough
            told.fail(type(error).__name__)
        raise
    finally:
        real.end()


def _started(
    name: str, kind: Kind, attributes: Attributes, parent: str | None, links: Sequence[str]
) -> "RealSpan":
    from opentelemetry.trace import Link, SpanKind

    tracer = _own().provider.get_tracer(SCOPE)
    return tracer.start_span(
        name,
        context=_context(parent) if parent else None,
        kind=SpanKind[kind.upper()],
        attributes=_given(attributes),
        links=[Link(_place(one)) for one in links],
    )


def _entered(real: "RealSpan") -> AbstractContextManager[object]:
    from opentelemetry.trace import use_span

    return use_span(real, record_exception=False, set_status_on_exception=False)


def current() -> Span:
    """Return the span that this code runs in."""
    if not is_on():
        return Span()
    from opentelemetry.trace import get_current_span

    return Span(get_current_span())


def trace_id() -> str | None:
    """Return the id of the trace that this code runs in, as 32 hex digits."""
    here = current().traceparent
    found = here.split("-")[1] if here else ""
    return found if found.strip("0") else None


def report(
    name: str,
    *,
    own: str,
    parent: str,
    since: datetime,
    until: datetime,
    attributes: Attributes,
    failed: str | None,
) -> None:
    """Send a span that no process has seen through, where tracing is on.

    `own` and `parent` are traceparents.
    """
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Status, StatusCode

    pipe = _own()
    pipe.processor.on_end(
        ReadableSpan(
            name,
            context=_place(own),
            parent=_place(parent),
            resource=pipe.provider.resource,
            attributes=_given({**attributes, "error.type": failed}),
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=round(since.timestamp() * 1e9),
            end_time=round(until.timestamp() * 1e9),
            instrumentation_scope=InstrumentationScope(SCOPE),
        )
    )


@dataclass(frozen=True, slots=True)
class _Pipe:
    """What sends the spans of one process."""

    provider: "TracerProvider"
    processor: "BatchSpanProcessor"


_lock = threading.Lock()
_pipe: _Pipe | None = None


def provider() -> "TracerProvider | None":
    """Return what makes this process's spans, for libraries that make some; None while off."""
    return _own().provider if is_on() else None


def flush() -> None:
    """Send what waits, for a moment at most."""
    if _pipe is not None:
        _for_a_moment(_pipe.processor.force_flush)


def close() -> None:
    """Send what waits, for a moment at most, and no more after it. Safe to repeat."""
    if _pipe is not None:
        _for_a_moment(_pipe.provider.shutdown)


def _for_a_moment(act: Callable[[], object]) -> None:
    leaving = threading.Thread(target=act, name="traces", daemon=True)
    leaving.start()
    leaving.join(LEAVE_S)


def _own() -> _Pipe:
    """Return this process's, made when it has its first span: in a pool's child after the fork."""
    global _pipe
    with _lock:
        if _pipe is None:
            _pipe = _made()
            atexit.register(close)
        return _pipe


def _forget() -> None:
    global _lock, _pipe
    _lock, _pipe = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _made() -> _Pipe:
    """Load the library, which reads OTEL_… from the environment, `.env` included."""
    for name, value in settings.otel:
        told = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if told:
            os.environ.setdefault(f"OTEL_{name}".upper(), told)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Discreet(SpanProcessor):
        """Hides what libraries tell of a request that is somebody's."""

        def on_start(self, span: Span, parent_context: "Context | None" = None) -> None:
            for name in SOMEBODYS:
                if name in (span.attributes or {}):
                    span.set_attribute(name, HIDDEN)

        def on_end(self, span: ReadableSpan) -> None:
            """Change nothing."""

    made = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(OTLPSpanExporter())
    made.add_span_processor(Discreet())
    made.add_span_processor(processor)
    return _Pipe(made, processor)


def _context(traceparent: str) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _place(traceparent: str) -> "SpanContext":
    from opentelemetry.trace import get_current_span

    return get_current_span(_context(traceparent)).get_span_context()


def _given(attributes: Attributes) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}
