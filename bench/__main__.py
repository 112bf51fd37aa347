"""`make bench`: every benchmark in a process and on servers of its own, one table at the end.

`python -m bench NAME …` runs some of them; `SCALE=0.1` shortens what is counted, for a try.
"""

import json
import os
import subprocess
import sys
import time
from importlib import import_module

from bench.figures import Figure
from bench.results import render, write
from bench.servers import ROOT, servers

BENCHMARKS = (
    "overhead", "throughput", "recovery", "http", "auth", "goals", "tokens", "streams", "ingest",
    "memory", "scale", "capacity",
)  # fmt: skip
ALONE = "--alone"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and write the table when all have run."""
    sections: dict[str, list[Figure]] = {}
    failed: list[str] = []
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        began = time.monotonic()
        command = [sys.executable, "-m", "bench", ALONE, name]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
            continue
        sections[name] = [Figure(**one) for one in json.loads(done.stdout.splitlines()[-1])]
        print(f"{render({name: sections[name]})}\n({time.monotonic() - began:.0f} s)", flush=True)
    if not names and not failed:
        write(sections)
        print("Written to bench/RESULTS.md and README.md.")
    for name in failed:
        print(f"{name} did not run to its end.")
    return 1 if failed else 0


def alone(name: str) -> int:
    """Run one benchmark in this process and print its figures as JSON."""
    with servers():
        module = import_module(f"bench.{name}")
        figures: list[Figure] = module.measure(float(os.environ.get("SCALE", "1")))
    print(json.dumps([one.as_json() for one in figures]))
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(alone(given[1]) if given[:1] == [ALONE] else main(given))
