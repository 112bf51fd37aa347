"""Without an exporter, tracing is not there at all."""

import subprocess
import sys
from typing import Any

import pytest

from config import tracing
from config.otel import OtelSettings
from config.settings import settings

LOOKS = """
import sys
import tests.traced, tests.pipelines, tasks.worker, tasks.dispatcher
from tasks import tracing
from config import logging
logging.configure()
assert tracing.tell_ended() == 0
with tracing.model_call("chat", {"model": "a/b"}) as call:
    call.tell({"a": 1})
assert tracing.begin(None, "a") is None
kinds = ("opentelemetry.sdk.trace", "opentelemetry.exporter")
loaded = [name for name in sys.modules if name.startswith(kinds)]
print(*loaded)
"""


@pytest.mark.timeout(300)
def test_the_sdk_is_not_loaded_without_an_exporter() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOOKS], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stdout.strip()) == (0, ""), told.stderr


@pytest.mark.parametrize(
    ("otel", "on"),
    [
        ({}, False),
        ({"exporter_otlp_endpoint": "http://a:1"}, True),
        ({"exporter_otlp_traces_endpoint": "http://a:1/v1/traces"}, True),
        ({"exporter_otlp_endpoint": "http://a:1", "sdk_disabled": True}, False),
        ({"exporter_otlp_endpoint": "http://a:1", "traces_exporter": "none"}, False),
    ],
)
def test_traces_are_sent_where_there_is_somewhere_to_send_them(
    otel: dict[str, Any], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = settings.model_copy(update={"otel": OtelSettings(**otel)})
    monkeypatch.setattr(tracing, "settings", configured)

    assert tracing.is_on() is on
