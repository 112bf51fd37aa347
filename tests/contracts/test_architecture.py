"""What may know what, and the names that others rely on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines  # noqa: F401
from tasks.pipeline import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("api", "pipelines", "tasks", "models", "config")
CLIENTS = {"litellm", "openai", "tiktoken", "torch", "booknlp", "qdrant_client", "typesense"}
LIBRARIES = {  # what speaks to the outside, or its formats, and who may import it
    "PIL": {"api/books/portraits.py"},
    "lxml": {"tasks/adapters/epub.py", "tasks/adapters/xhtml.py"},
    "pypdf": {"tasks/adapters/pdf.py"},
    "httpx": {
        "config/fetch.py",
        "api/demo.py",
        "tasks/adapters/keywords_typesense.py",
        "tasks/adapters/litellm_client.py",
        "tasks/adapters/speech.py",
    },
    "fsspec": {"config/blobs.py"},
    "opentelemetry": {"config/tracing.py"},
    "pgvector": {
        "models/indexes.py",
        "models/migrations/versions/0001_first_schema.py",
        "tasks/adapters/vectors.py",
    },
}


def imported() -> dict[str, set[str]]:
    """Return the top-level modules that each file of the rooms imports, anywhere in it."""
    found: dict[str, set[str]] = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        names = found.setdefault(path.relative_to(ROOT).as_posix(), set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return found


def test_the_import_contracts_hold() -> None:
    told = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_ai_clients_are_imported_by_adapters_only() -> None:
    files = {file for file, names in imported().items() if names & CLIENTS}
    assert {file for file in files if not file.startswith("tasks/adapters/")} == set()


@pytest.mark.parametrize("client", LIBRARIES)
def test_a_library_is_imported_only_where_it_is_meant_to_be(client: str) -> None:
    assert {file for file, names in imported().items() if client in names} <= LIBRARIES[client]


def test_celery_tasks_are_named_by_shelf_operation_and_step() -> None:
    script = (
        "from tasks.celery import app; app.loader.import_default_modules();"
        "from tasks.worker import register_all; register_all(); app.finalize();"
        "print(*(name for name in app.tasks if not name.startswith('celery.')))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {
        f"{name}.{spec.name}"
        for name, one in REGISTRY.items()
        if not name.startswith("tests.")
        for spec in one.specs
    }
    assert expected
    assert set(told.stdout.split()) == expected
