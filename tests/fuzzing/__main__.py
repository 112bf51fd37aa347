"""`make fuzz MINUTES=10`: every route of a real stack, alone and one after the other.

Requests are made by schemathesis from the API's own schema, mostly about what there is
(`world.py`); what one answers, ids above all, goes into the next. Workers carry out the jobs that
are started. The offline models are asked, nobody else. It fails when an answer is a 5xx, or a job
ends by an error that nobody has foreseen.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from bench.servers import ROOT, servers

UNREADY = ("/ready", "/api/v1/voice/session")  # 503 while a worker starts, or without a key
REQUEST_TIMEOUT_S = 30
PHASES = (("stateful", "positive", 0.7), ("fuzzing", "all", 0.3))  # what, sent how, of the time
UNFORESEEN = "internal"  # the code of a job's error that no rule has raised


def main(minutes: float, phases: str) -> int:
    """Run for so long; return 0 when nothing broke."""
    with servers(), tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "LIMITS_ENABLED": "false",
            "FETCH_TIMEOUT_S": "2",
            "SERVICE_TOKEN": "of-the-fuzz-run",
        }
        return _run(Path(folder), minutes, phases)


def _run(folder: Path, minutes: float, phases: str) -> int:
    from tests.fuzzing.world import describe, make
    from tests.stack import Stack

    stack = Stack(folder)
    try:
        stack.start_workers(module="tasks")
        url = stack.start_web(module="tests.fuzzing.web")
        with httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S) as client:
            (folder / "schemathesis.toml").write_text(describe(make(client)))
        sent = [
            subprocess.run(_command(url, minutes * share, phase, mode), cwd=folder).returncode
            for phase, mode, share in PHASES
            if phase in phases
        ]
        answered = _answers(url)
        ended = _jobs()
    finally:
        stack.stop()
        _show_tracebacks(folder)
    broken = sum(count for status, count in answered.items() if status.startswith("5"))
    unforeseen = sum(count for (_, _, code), count in ended.items() if code == UNFORESEEN)
    print(f"Answers by status: {dict(sorted(answered.items()))}")
    print(
        "Jobs:", *(f"{count} {' '.join(key)}" for key, count in sorted(ended.items())), sep="\n  "
    )
    print(
        f"{sum(answered.values())} requests, {broken} of them 5xx, {unforeseen} unforeseen errors"
    )
    return 1 if any(sent) or broken or unforeseen else 0


def _command(url: str, minutes: float, phase: str, mode: str) -> list[str]:
    left_out = [word for path in UNREADY for word in ("--exclude-path", path)]
    return [
        sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json",
        "--phases", phase, "--mode", mode, "--max-time", str(int(minutes * 60)),
        "--checks", "not_a_server_error", "--request-timeout", str(REQUEST_TIMEOUT_S),
        "--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure",
        "--no-shrink", "--no-color", "--generation-database", "none",
        "--generation-with-security-parameters", "false", *left_out,
    ]  # fmt: skip


def _answers(url: str) -> Counter[str]:
    """Return how many answers there were of each status, as the API has counted them."""
    from prometheus_client.parser import text_string_to_metric_families

    told = httpx.get(f"{url}/metrics", timeout=30).text
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            if sample.name == "http_requests_total":
                found[sample.labels["status_code"]] += int(sample.value)
    return found


def _jobs() -> Counter[tuple[str, str, str]]:
    """Return how many jobs there are by pipeline, status and code of the error."""
    from sqlalchemy import select

    from config.db import connection
    from models.jobs.tables import job

    found: Counter[tuple[str, str, str]] = Counter()
    with connection() as conn:
        for pipeline, status, error in conn.execute(
            select(job.c.pipeline, job.c.status, job.c.error)
        ):
            found[pipeline, status, str((error or {}).get("code", ""))] += 1
    return found


def _show_tracebacks(folder: Path) -> None:
    """Print the last lines of what the processes have logged, where there is a traceback."""
    for log in sorted(folder.glob("*.log")):
        told = log.read_text(errors="replace")
        for block in told.split("Traceback (most recent call last)")[1:6]:
            print(f"{log.name}: {block[-3000:]}"[:4000])


def _arguments(given: list[str]) -> tuple[Any, str]:
    return float(given[0]) if given else 10.0, given[1] if given[1:] else "fuzzing,stateful"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(*_arguments(sys.argv[1:])))
