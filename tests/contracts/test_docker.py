"""The container files agree with the Procfile; no engine is needed to see that."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
PROCESSES = dict(
    re.split(r":\s*", line, maxsplit=1) for line in (ROOT / "Procfile").read_text().splitlines()
)


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_has_a_service_with_its_command(name: str) -> None:
    command = PROCESSES[name]
    for local, inside in (("${WEB_HOST:-127.0.0.1}", "0.0.0.0"), ("${WEB_PORT:-8000}", "8000")):
        command = command.replace(local, inside)  # a container is reached from outside of it
    assert SERVICES[name]["command"] == command


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate", "beat"}))
def test_whatever_can_be_asked_is_asked_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_the_schema_is_migrated_before_anything_starts() -> None:
    for name in PROCESSES:
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == (
            "service_completed_successfully"
        )


def test_no_secret_has_a_default() -> None:
    told = (ROOT / "docker/compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "SECRET_KEY", "FLOWER_PASSWORD"):
        assert f"${{{name}:?" in told
        assert f"${{{name}:-" not in told


def test_the_image_runs_as_nobody_special_and_installs_by_hash() -> None:
    told = (ROOT / "docker/Dockerfile").read_text()
    assert "USER longrun" in told
    assert "--require-hashes" in told
