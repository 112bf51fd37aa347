"""Traces, as a collector gets them from a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.otlp_receiver import Receiver, Seen
from tests.scripted_model import ScriptedModel, Served
from tests.stack import ROOT

pytestmark = pytest.mark.timeout(300)
SERVER, CLIENT, PRODUCER = 2, 3, 4
KEY = "sk-nobody-sees-this-key"


def run(folder: Path, *words: str, **environment: str) -> tuple[dict[str, str], str]:
    """Let a process do its work; return the ids it tells, and its log."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.traced", str(folder), *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told, done.stderr


@pytest.fixture
def model(owner: None) -> Iterator[dict[str, str]]:
    with Served(ScriptedModel(tokens=5)) as served:
        yield {"MODELS_CHAT": "openai/plain", "LLM_API_BASE": served.base, "LLM_API_KEY": KEY}


def test_what_a_request_starts_is_one_trace_down_to_the_model(
    model: dict[str, str], tmp_path: Path
) -> None:
    receiver = Receiver()
    with Served(receiver) as served:
        endpoint = served.base.removesuffix("/v1")
        told, log = run(tmp_path, "model", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **model)
    spans = receiver.spans

    _assert_one_line_down_to_the_model(spans, told["asked"])
    _assert_nobodys_secrets(spans)
    _assert_links_between_jobs(spans, told)
    _assert_a_trace_of_its_own(spans, told["scheduled"])
    assert f"trace={'ab' * 16} " in log, "a line within the request names its trace"
    assert not [one for one in spans if "/health" in one.name]
    assert {one.service for one in spans} == {"longrun"}
    assert len({one.id for one in spans}) == len(spans), "each is sent once"


def of_job(spans: list[Seen], job_id: str) -> list[Seen]:
    return [one for one in spans if one.attributes.get("longrun.job.id") == job_id]


def jobs_own(spans: list[Seen], job_id: str) -> list[Seen]:
    return [one for one in of_job(spans, job_id) if one.name.startswith("job ")]


def parent_of(spans: list[Seen], span: Seen) -> Seen:
    (found,) = [one for one in spans if one.id == span.parent]
    return found


def _assert_one_line_down_to_the_model(spans: list[Seen], job_id: str) -> None:
    (job,) = jobs_own(spans, job_id)
    enqueue = parent_of(spans, job)
    request = parent_of(spans, enqueue)
    (attempt,) = [one for one in spans if one.parent == job.id]
    whole, streamed = [one for one in spans if one.parent == attempt.id]

    assert {one.trace for one in (request, enqueue, job, attempt, whole)} == {"ab" * 16}
    assert (request.parent, request.kind, request.name) == (
        "cd" * 8, SERVER, "POST /jobs/{pipeline}",
    )  # fmt: skip
    assert (enqueue.kind, enqueue.name) == (PRODUCER, "enqueue tests.ask_model")
    assert (job.name, job.failed) == ("job tests.ask_model", False)
    assert job.attributes["longrun.job.status"] == "succeeded"
    assert job.lasted_s >= attempt.lasted_s >= whole.lasted_s
    assert attempt.name == "tests.ask_model.ask_model"
    assert attempt.attributes["longrun.step.outcome"] == "succeeded"
    assert attempt.attributes["longrun.step.attempt"] == 1
    assert attempt.attributes["longrun.step.epoch"] == 1
    assert attempt.attributes["longrun.step.queue"] == "io"
    assert {"longrun.node.id", "longrun.step.id"} <= attempt.attributes.keys()
    assert whole.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "plain",
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.response.model": "plain",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
    }
    assert (whole.name, whole.kind, streamed.name) == ("chat plain", CLIENT, "chat plain")


def _assert_nobodys_secrets(spans: list[Seen]) -> None:
    told = " ".join(f"{one.name} {one.attributes}" for one in spans)
    for secret in ("Nobody is to read this", "universally", "hidden", KEY):
        assert secret not in told
    assert all(one.attributes.get("url.path", "REDACTED") == "REDACTED" for one in spans)


def _assert_links_between_jobs(spans: list[Seen], told: dict[str, str]) -> None:
    first, resumed = sorted(jobs_own(spans, told["failed"]), key=lambda one: not one.failed)
    attempts = [one for one in of_job(spans, told["failed"]) if one not in (first, resumed)]
    assert first.trace != resumed.trace
    assert first.attributes["error.type"] == "test_refused"
    assert parent_of(spans, resumed).links == (first.id,)
    assert [one.parent for one in attempts if one.failed] == [first.id]
    assert [one.attributes["longrun.step.outcome"] for one in attempts if one.failed] == ["failed"]
    assert {one.parent for one in attempts if not one.failed} == {first.id, resumed.id}
    for name in ("retried", "forked"):
        (after,) = jobs_own(spans, told[name])
        assert parent_of(spans, after).links == (resumed.id,)
        assert after.trace not in (first.trace, resumed.trace)


def _assert_a_trace_of_its_own(spans: list[Seen], job_id: str) -> None:
    started = [one for one in spans if one.name == "enqueue tests.asking"]
    assert [(one.parent, one.links) for one in started] == [("", ())]
    assert of_job(spans, job_id) == [], "it has not run, and its own span is sent at its end"


@pytest.mark.usefixtures("owner")
def test_an_exporter_that_is_away_fails_nothing(tmp_path: Path) -> None:
    told, log = run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert told["forked"]
    assert "Traceback" not in log


@pytest.mark.usefixtures("owner")
def test_what_the_sampler_leaves_out_is_left_out_down_to_the_last_step(tmp_path: Path) -> None:
    receiver = Receiver()
    with Served(receiver) as served:
        traces = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{served.base}/traces"}
        told, _ = run(tmp_path, OTEL_TRACES_SAMPLER="parentbased_always_off", **traces)

    assert jobs_own(receiver.spans, told["failed"])
    assert {one.trace for one in receiver.spans} == {"ab" * 16}, "the one that came sampled"
