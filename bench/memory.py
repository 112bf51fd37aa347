"""Memory of the whole stack, as `make up` starts it: idle, and after the demo's job.

Counted is the proportional set size: pages that processes share are shared out among them. Where
the system does not tell it, it is what each process has for itself alone.
"""

import os
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from bench.figures import Figure, bounded
from bench.servers import accepts, free_port, process, wait_until
from config.local import EmbeddedPostgres, EmbeddedValkey
from config.local.orphans import marked

SETTLED_S = 20.0  # by then the workers have loaded what their steps need
READY_S = 180.0
MB = 10**6
STORES = {"postgres", "valkey-server"}


def measure(scale: float) -> list[Figure]:
    """Start a stack of its own, weigh it, run the demo against it, and weigh it again."""
    del scale  # there is but one of it
    with tempfile.TemporaryDirectory() as named:
        folder, port = Path(named), free_port()
        began = time.monotonic()
        try:
            with process("config.local up", **_environment(folder, port)) as started:
                wait_until(lambda: _ready(port), "the stack", READY_S)
                took = time.monotonic() - began
                time.sleep(SETTLED_S)
                idle = _weigh(folder, started.pid)
                began = time.monotonic()
                os.environ["LONGRUN_URL"] = f"http://127.0.0.1:{port}"
                with process("api.demo") as demo:
                    assert demo.wait(READY_S) == 0, "the demo has failed"
                shown = time.monotonic() - began
                after = _weigh(folder, started.pid)
        finally:
            for store in (EmbeddedPostgres(folder), EmbeddedValkey(folder)):
                store.remove()
    return [
        bounded("stack ready after", took, "s", at_most=30),
        bounded("demo, a novel read in and a reply", shown, "s", at_most=60),
        *_figures("idle", idle),
        *_figures("after the demo", after),
    ]


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "BLOB_URL": f"file://{folder}/blobs",
        "LOCAL_DIR": str(folder),
        "WEB_PORT": str(port),
        "FLOWER_PORT": str(free_port()),
    }


def _ready(port: int) -> bool:
    import httpx

    return accepts(port) and httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200


def _figures(when: str, weights: Counter[str]) -> list[Figure]:
    parts = ", ".join(f"{name} {size / MB:.0f}" for name, size in weights.most_common())
    whole = sum(weights.values()) / MB
    return [
        bounded(f"memory of the API, {when}", weights["web"] / MB, "MB", at_most=150),
        bounded(f"memory of the whole stack, {when}", whole, "MB", at_most=1500, note=parts),
    ]


def _weigh(folder: Path, leader: int) -> Counter[str]:
    """Return bytes by what a process is."""
    stores = [*EmbeddedPostgres(folder).strays(), *EmbeddedValkey(folder).strays()]
    weights: Counter[str] = Counter()
    for one in {*marked(str(folder)), *stores, psutil.Process(leader)}:
        with suppress(psutil.NoSuchProcess):  # a connection's Postgres may end meanwhile
            told = one.memory_full_info()
            weights[_name(one)] += int(getattr(told, "pss", told.uss))
    return weights


def _name(one: psutil.Process) -> str:
    if one.name() in STORES:
        return str(one.name())
    words = one.cmdline()
    for queue in ("io", "cpu", "stream"):
        if queue in words:
            return f"worker-{queue}"
    for word, name in (("api.app:app", "web"), ("flower", "flower"), ("beat", "beat")):
        if word in words:
            return name
    return "supervisor"
