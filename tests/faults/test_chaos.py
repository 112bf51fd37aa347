"""A minute of chaos; `make chaos` is half an hour of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import ROOT

SEED = "20261121"
FAULTS = "16"  # about half a minute, then everything comes to rest
PATIENCE_S = 900  # on a machine that does other things, too


@pytest.mark.timeout(PATIENCE_S + 60)
def test_a_minute_of_chaos_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", SEED, "--faults", FAULTS, "--small"]
    with (tmp_path / "told.txt").open("wb") as told:
        running = subprocess.Popen(
            [*command, "--report", str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    try:
        running.wait(PATIENCE_S)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)

    assert (tmp_path / "report.json").exists(), (tmp_path / "told.txt").read_text()[-4000:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"], (tmp_path / "report.txt").read_text()
    assert report["faults"]["total"] == int(FAULTS)
