"""Processes that a killed supervisor left behind.

Those of the Procfile are found by a mark in their environment. Postgres and Valkey write their
titles over theirs, and are found by the folder they work in, which is their data.
"""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

MARKER = "LONGRUN_STACK"  # value: the folder of the stack
END_TIMEOUT_S = 10.0  # a clean end of what is left; then kill -9


POLL_S = 0.02


def marked(marker: str) -> Iterator[psutil.Process]:
    """Yield running processes whose environment holds exactly this mark."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker and lives(process):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # ended meanwhile, or somebody else's


def working_in(folder: Path, names: Collection[str]) -> Iterator[psutil.Process]:
    """Yield running processes of these names whose working folder is `folder`."""
    for process in psutil.process_iter():
        try:
            if process.name() in names and Path(process.cwd()) == folder and lives(process):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def lives(process: psutil.Process) -> bool:
    """Say whether a process still runs. A zombie that nobody has waited for does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until the processes have ended and return those that still live when time is up."""
    deadline = time.monotonic() + timeout_s
    left = [process for process in processes if lives(process)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = [process for process in left if lives(process)]
    return left


def end(processes: Iterable[psutil.Process]) -> int:
    """End processes, cleanly where they obey, and return how many there were."""
    found = list(processes)
    _each(found, "resume")  # a frozen process would not hear the next signal
    _each(found, "terminate")
    deaf = wait_gone(found, END_TIMEOUT_S)
    _each(deaf, "kill")
    wait_gone(deaf, END_TIMEOUT_S)
    return len(found)


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes as kill -9 does, and return when they have gone."""
    found = list(processes)
    _each(found, "kill")
    wait_gone(found, END_TIMEOUT_S)


def _each(
    processes: Iterable[psutil.Process], action: Literal["resume", "terminate", "kill"]
) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            getattr(process, action)()
