"""BookNLP's process, watched: it ends with its time, its job or its parent, whichever is first."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tasks.refusals import BookNLPFailed, BookNLPUnfit

from .child import UNFIT

ROOT = Path(__file__).resolve().parents[4]
CHILD = "tasks.adapters.extractors.booknlp.child"
LOOK_EVERY_S = 0.25  # how late an end, a new phase or a wish to stop is seen
TAIL_CHARS = 2_000  # of stderr, in an error: a traceback's end
PHASES = ("startup", "spacy", "entities", "quotes", "attribution", "name coref", "coref")

_one_at_a_time = threading.Lock()  # a pass takes more than a gigabyte of memory, and all cores

# Called while the process runs, with how many of PHASES are done; raises to end it.
Watch = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Child:
    """How to start the process."""

    python: str = sys.executable
    arguments: tuple[str, ...] = ()
    timeout_s: float = 7200.0
    environment: dict[str, str] = field(default_factory=dict)  # added to ours

    def run(self, folder: Path, *arguments: str, watch: Watch = lambda done: None) -> None:
        """Run to the end; output and errors go to files in `folder`.

        Raises BookNLPUnfit, BookNLPFailed (with the end of stderr), and whatever `watch` raises;
        the process is gone in every case.
        """
        while not _one_at_a_time.acquire(timeout=LOOK_EVERY_S):
            watch(0)
        try:
            code = self._run(folder, arguments, watch)
        finally:
            _one_at_a_time.release()
        if code:
            told = (folder / "stderr").read_text(errors="replace").strip()[-TAIL_CHARS:]
            if code == UNFIT:
                raise BookNLPUnfit(told.splitlines()[-1] if told else None)
            raise BookNLPFailed(exit_code=code, stderr=told)

    def _run(self, folder: Path, arguments: tuple[str, ...], watch: Watch) -> int:
        command = [self.python, "-m", CHILD, *self.arguments, *arguments]
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            try:
                process = subprocess.Popen(  # noqa: S603 — our own module, arguments from settings
                    command,
                    stdin=subprocess.PIPE,  # closed when we die: the sign for the process to end
                    stdout=out,
                    stderr=err,
                    cwd=ROOT,
                    env=self._environment(),
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise BookNLPUnfit(f"There is no interpreter {self.python}.") from error
        try:
            return self._wait(process, folder / "stdout", watch)
        finally:
            _end(process)

    def _wait(self, process: subprocess.Popen[bytes], out: Path, watch: Watch) -> int:
        deadline = time.monotonic() + self.timeout_s
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_EVERY_S)
            if time.monotonic() > deadline:
                raise BookNLPFailed(f"BookNLP took longer than {self.timeout_s:.0f} s.")
            watch(phases_done(out.read_text(errors="replace")))

    def _environment(self) -> dict[str, str]:
        """Return what the process gets: never a reason to fetch anything, text always UTF-8."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            **self.environment,
        }


def phases_done(printed: str) -> int:
    """Count the phases that BookNLP says it is through with: "--- quotes: 0.004 seconds ---"."""
    lines = printed.splitlines()
    return sum(any(line.startswith(f"--- {phase}:") for line in lines) for phase in PHASES)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it has started. Safe when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
