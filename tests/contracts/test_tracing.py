"""Without an exporter, tracing is not there at all."""

import os
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_the_sdk_is_not_loaded_without_an_exporter(environment: dict[str, str]) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOOKS],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout.strip()) == (0, ""), told.stderr
