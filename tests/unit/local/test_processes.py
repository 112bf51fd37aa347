"""The configuration that supervisord gets."""

from configparser import RawConfigParser
from pathlib import Path

import pytest

import celeryconfig
from config.local.processes import STOP_GRACE_S, Processes, parse_procfile


@pytest.fixture
def configuration(tmp_path: Path) -> RawConfigParser:
    (tmp_path / "Procfile").write_text(
        "web: serve --port ${WEB_PORT:-8000}\nworker: work -n io@%h\n"
    )
    parsed = RawConfigParser()
    parsed.read_string(Processes(tmp_path / "stack", tmp_path, []).configuration)
    return parsed


def test_a_procfile_names_its_processes_in_order() -> None:
    assert list(parse_procfile("# a comment\n\nweb: run a: b\nbeat : tick\n").items()) == [
        ("web", "run a: b"),
        ("beat", "tick"),
    ]


def test_only_the_leader_of_a_process_is_stopped(configuration: RawConfigParser) -> None:
    assert configuration["program:worker"]["stopasgroup"] == "false"
    assert configuration["program:worker"]["killasgroup"] == "false"
    assert configuration["program:worker"]["command"].startswith("/bin/sh -c 'exec work")


def test_percent_signs_of_a_command_reach_it(configuration: RawConfigParser) -> None:
    assert "io@%%h" in configuration["program:worker"]["command"]


def test_nothing_of_the_procfile_starts_before_the_migrations(
    configuration: RawConfigParser,
) -> None:
    assert configuration["program:web"]["autostart"] == "false"
    assert configuration["group:longrun"]["programs"] == "web,worker"


def test_a_worker_may_finish_its_soft_shutdown() -> None:
    assert celeryconfig.worker_soft_shutdown_timeout < STOP_GRACE_S
