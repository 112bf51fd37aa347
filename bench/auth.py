"""What it costs to know who is asking: a GET with a bearer token, and the same that asks nobody."""

import time

import httpx

from bench.figures import Figure, compared, median, percentile
from bench.servers import web
from config.db import transaction
from models.accounts import LOCAL_USER_ID, issue_token

REQUESTS = 500
WARM_UP = 20


def measure(scale: float) -> list[Figure]:
    """Ask both in turn over one connection, for the same empty list of books."""
    with transaction() as session:
        token = issue_token(session, LOCAL_USER_ID)
    known: list[float] = []
    unknown: list[float] = []
    with web("bench.web:app") as (port, _), httpx.Client(timeout=30) as client:
        url = f"http://127.0.0.1:{port}"
        for number in range(int(REQUESTS * scale) + WARM_UP):
            mine = _get(client, f"{url}/books", {"Authorization": f"Bearer {token}"})
            theirs = _get(client, f"{url}/bench/books", {})
            if number >= WARM_UP:
                known.append(mine)
                unknown.append(theirs)
    return [
        compared(
            "authenticated GET, p50", median(known), "ms", median(unknown),
            "ms for the same that asks nobody", note=f"p99 {percentile(known, 0.99):.1f} ms",
        )
    ]  # fmt: skip


def _get(client: httpx.Client, url: str, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = client.get(url, headers=headers)
    took = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    return 1000 * took
