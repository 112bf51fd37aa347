"""What a POST that enqueues costs over one that does nothing, with Redis well, gone and hanging."""

import time

import httpx

from bench.figures import Figure, compared, median, percentile
from bench.servers import valkey_server, web

REQUESTS = 300
TARGET = 2.5
CONDITIONS = ("Redis up", "Redis refusing", "Redis hanging")


def measure(scale: float) -> list[Figure]:
    """Send both in turn over one connection; without workers, which would share the cores."""
    figures = []
    with web("bench.web:app") as (port, _), httpx.Client(timeout=30) as client:
        url = f"http://127.0.0.1:{port}"
        for condition in CONDITIONS:
            _bring_about(condition)
            enqueue: list[float] = []
            empty: list[float] = []
            for number in range(int(REQUESTS * scale) + 20):
                mine = _post(client, f"{url}/jobs/bench.single")
                theirs = _post(client, f"{url}/bench/empty")
                if number >= 20:
                    enqueue.append(mine)
                    empty.append(theirs)
            figures.append(_figure(condition, enqueue, empty))
        valkey_server().resume()
    return figures


def _bring_about(condition: str) -> None:
    valkey = valkey_server()
    if condition == "Redis refusing":
        valkey.stop()
    if condition == "Redis hanging":
        valkey.start()
        valkey.suspend()


def _figure(condition: str, enqueue: list[float], empty: list[float]) -> Figure:
    return compared(
        f"POST that enqueues, p50, {condition}", median(enqueue), "ms", median(empty),
        "ms for an empty POST", at_most=TARGET, note=f"p99 {percentile(enqueue, 0.99):.1f} ms",
    )  # fmt: skip


def _post(client: httpx.Client, url: str) -> float:
    began = time.perf_counter()
    answer = client.post(url, json={"run": "http"})
    took = time.perf_counter() - began
    assert answer.status_code == 202, answer.text
    return 1000 * took
