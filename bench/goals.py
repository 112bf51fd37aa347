"""What `POST /goals` costs, planning job included, over a bare route that inserts one row."""

import time
from uuid import uuid4

import httpx

from bench.figures import Figure, compared, median, percentile
from bench.servers import web

REQUESTS = 300
WARM_UP = 20
TARGET = 2.5


def measure(scale: float) -> list[Figure]:
    """Send both in turn over one connection each; without workers, which would share the cores."""
    ours: list[float] = []
    bare: list[float] = []
    with (
        web("api.app:app") as (port, _),
        web("bench.peers.bare_goals:app") as (bare_port, _),
        httpx.Client(timeout=30) as client,
    ):
        for number in range(int(REQUESTS * scale) + WARM_UP):
            mine = _post(client, f"http://127.0.0.1:{port}/goals")
            theirs = _post(client, f"http://127.0.0.1:{bare_port}/goals")
            if number >= WARM_UP:
                ours.append(mine)
                bare.append(theirs)
    return [
        compared(
            "POST /goals, p50", median(ours), "ms", median(bare),
            "ms for a bare FastAPI route that inserts one row", at_most=TARGET,
            note=f"p99 {percentile(ours, 0.99):.1f} ms; goal, job and plan of six steps",
        ),
    ]  # fmt: skip


def _post(client: httpx.Client, url: str) -> float:
    body = {
        "title": "Get fit for my wedding",
        "description": "Lose 15 lbs and improve stamina over 12 weeks",
        "user_id": str(uuid4()),
    }
    began = time.perf_counter()
    answer = client.post(url, json=body)
    took = time.perf_counter() - began
    assert answer.status_code == 201, answer.text
    return 1000 * took
