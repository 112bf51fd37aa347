"""Processes that a killed supervisor left behind: found by a mark in their environment."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Literal

import psutil

MARKER = "LONGRUN_STACK"  # value: the folder of the stack, or `<folder>:<server>` in tests
REAP_TIMEOUT_S = 10.0  # a clean end of what is left; then kill -9


POLL_S = 0.02


def marked(marker: str) -> Iterator[psutil.Process]:
    """Yield running processes whose environment holds exactly this mark."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == marker and lives(process):
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # ended meanwhile, or somebody else's


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


def reap(marker: str) -> int:
    """End every process with this mark, cleanly where it obeys, and return how many there were."""
    found = list(marked(marker))
    _each(found, "resume")  # a frozen process would not hear the next signal
    _each(found, "terminate")
    deaf = wait_gone(found, REAP_TIMEOUT_S)
    _each(deaf, "kill")
    wait_gone(deaf, REAP_TIMEOUT_S)
    return len(found)


def _each(
    processes: Iterable[psutil.Process], action: Literal["resume", "terminate", "kill"]
) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            getattr(process, action)()
