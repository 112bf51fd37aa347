"""Breaks everything at random and sees whether anything is lost: `python -m tests.chaos`."""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from config.local import EmbeddedPostgres, EmbeddedValkey
from tests import environment

DATABASE = "longrun_chaos"
SMALL = ("web", "io-1", "cpu-1", "stream-1", "beat-1", "beat-2", "beat-3")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="of chaos; then it is quiet")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--faults", type=int, help="so many instead, however long they take")
    parser.add_argument("--small", action="store_true", help="one worker of each kind")
    parser.add_argument("--report", type=Path, default=Path(".longrun/chaos"), help="a folder")
    parser.add_argument("--plan", action="store_true", help="print what is planned, and do nothing")
    return parser.parse_args()


def _point_at_servers() -> None:
    """Let this process use the run's servers past all links, before any setting is read."""
    postgres = EmbeddedPostgres(environment.HERE).url
    os.environ["DATABASE_URL"] = postgres.replace("/postgres?", f"/{DATABASE}?")
    os.environ["REDIS_URL"] = EmbeddedValkey(environment.HERE).url
    os.environ["FETCH_ALLOW_LOOPBACK"] = "true"


def _put_away(report: Path) -> None:
    """Keep the processes' logs beside the report, and delete everything else."""
    logs = report / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    for path in environment.HERE.glob("*.log"):
        shutil.copy(path, logs)
    servers = EmbeddedPostgres(environment.HERE), EmbeddedValkey(environment.HERE)
    environment.remove(environment.HERE, *servers)


async def _guarded(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Let SIGTERM end the run as Ctrl-C does: everything is put away."""
    task = asyncio.ensure_future(work)
    for which in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(which, task.cancel)
    return await task


def main() -> int:
    """Run, write the report, and return 0 if nothing was found."""
    given = _arguments()
    environment.isolate()
    environment.forget_dead_sessions()
    environment.HERE.mkdir(parents=True)
    _point_at_servers()
    from tests.chaos import report
    from tests.chaos.run import Wish, carry_out

    names = {"names": SMALL} if given.small else {}
    command = f"python -m tests.chaos --seed {given.seed} " + (
        f"--faults {given.faults}" if given.faults else f"--minutes {given.minutes:g}"
    )
    command += " --small" if given.small else ""
    wish = Wish(given.seed, given.minutes, given.faults, command=command, **names)
    if given.plan:
        print("\n".join(map(str, wish.plan())))
        return 0
    print(f"seed {given.seed}; it writes to {given.report}", flush=True)
    try:
        told = asyncio.run(_guarded(carry_out(wish, environment.HERE)))
    except asyncio.CancelledError:
        print("stopped; nothing of it goes on")
        return 130
    finally:
        _put_away(given.report)
    print(report.write(told, given.report).read_text())
    return 0 if told["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
