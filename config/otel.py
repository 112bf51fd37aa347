"""Settings of OpenTelemetry, by the names that it has given them."""

from typing import Literal

from pydantic import SecretStr

from config.group import Group


class OtelSettings(Group):
    """Where OpenTelemetry traces go, over HTTP; nowhere without an endpoint.

    Whatever else OpenTelemetry reads (OTEL_…), it reads from the environment.
    """

    exporter_otlp_endpoint: str = ""  # as http://collector:4318
    exporter_otlp_traces_endpoint: str = ""  # the same with its path, for traces alone
    exporter_otlp_headers: SecretStr = SecretStr("")  # what lets us in there: name=value,…
    service_name: str = "longrun"
    traces_sampler: str = "parentbased_always_on"
    traces_sampler_arg: str = ""
    traces_exporter: Literal["otlp", "none"] = "otlp"
    sdk_disabled: bool = False
