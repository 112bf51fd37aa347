"""Promises to those who have jobs in flight, and to those who operate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines  # noqa: F401
from api.app import app
from models.errors import DomainError
from tasks.pipeline import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = Path(__file__).parent / "snapshots"


CHANGED = "jobs in flight and clients meet this"


def snapshot(name: str, value: object) -> object:
    """Return the snapshot to compare with; `LONGRUN_SNAPSHOT=write` renews it, on purpose."""
    path = SNAPSHOTS / f"{name}.json"
    if os.environ.get("LONGRUN_SNAPSHOT") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    return json.loads(path.read_text())


def test_pipelines_have_not_changed_under_jobs_in_flight() -> None:
    ours = {n: one.fingerprint for n, one in REGISTRY.items() if not n.startswith("tests.")}
    assert snapshot("fingerprints", ours) == ours, CHANGED


def test_the_public_api_has_not_changed() -> None:
    told = app.openapi()
    assert snapshot("openapi", told) == told, CHANGED


def test_error_codes_are_unique() -> None:
    found: dict[str, str] = {}

    def walk(kind: type[DomainError]) -> None:
        for one in kind.__subclasses__():
            if "code" in vars(one) and not one.__module__.startswith("tests."):
                assert found.setdefault(one.code, one.__name__) == one.__name__, one.code
            walk(one)

    walk(DomainError)
    assert len(found) > 20


def test_the_api_process_loads_no_ai_client() -> None:
    script = "import sys, api.app; print([m for m in sys.modules if m in {!r}])".format(
        ["litellm", "openai", "torch", "booknlp", "tiktoken", "pypdf", "lxml"],
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_the_schema_is_what_the_models_say(database_url: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_only_a_few_places_commit() -> None:
    allowed = {"config/db.py", "tasks/node.py", "tasks/dispatcher.py"}
    rooms = ("config", "models", "tasks", "pipelines", "api")
    found = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if ".commit(" in path.read_text()
    }
    assert found <= allowed


@pytest.mark.parametrize("line", (ROOT / "Procfile").read_text().splitlines())
def test_every_queue_has_a_worker(line: str) -> None:
    name, _, command = line.partition(":")
    if name.startswith("worker-"):
        assert f"--queues {name.removeprefix('worker-')} " in command
    assert command.strip()
