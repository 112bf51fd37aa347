"""A receiver of OpenTelemetry traces on loopback: OTLP over HTTP, as a collector speaks it."""

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True)
class Seen:
    """A span that came in."""

    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]  # of the spans' ids
    kind: int
    failed: bool
    attributes: dict[str, Any]
    service: str
    began: int  # nanoseconds since 1970
    lasted_s: float


class Receiver:
    """The receiver and what it has seen."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.app = Starlette(routes=[Route("/v1/traces", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        told = ExportTraceServiceRequest.FromString(await request.body())
        for resource in told.resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_seen(one, service) for one in scope.spans]
        return Response(b"", media_type="application/x-protobuf")

    def named(self, name: str) -> Seen:
        """The one span of that name."""
        (found,) = [one for one in self.spans if one.name == name]
        return found


def _seen(span: Any, service: str) -> Seen:
    return Seen(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.span_id.hex() for link in span.links),
        kind=span.kind,
        failed=span.status.code == 2,
        attributes=_plain(span.attributes),
        service=service,
        began=span.start_time_unix_nano,
        lasted_s=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
