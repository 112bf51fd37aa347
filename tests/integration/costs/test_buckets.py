"""A provider's limits hold for all workers together."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from config.db import connection, transaction
from config.local import EmbeddedValkey
from models.counters import totals
from models.errors import Unavailable
from models.jobs import lifecycle
from models.jobs.steps import list_steps
from models.jobs.tables import JobStatus, StepStatus
from tasks import buckets
from tasks.progress import Cancelled, RateLimited
from tests.inline import drain
from tests.integration.costs.conftest import Pay
from tests.integration.costs.paying import begin, calls, thinking
from tests.scripted_model import ScriptedModel
from tests.stack import ROOT, read

FOUR_AT_ONCE = "openai/plain=24rpm"  # a bucket of four requests, and 2.5 s until the next
A_THOUSAND = "openai/plain=6000tpm"  # a bucket of a thousand tokens, a hundred a second
ELSEWHERE = """
from tasks import buckets
from models.errors import Unavailable
taken = 0
for _ in range(10):
    try:
        buckets.take("openai/plain", 1, check=None)
        taken += 1
    except Unavailable:
        pass
print(taken)
"""


def never() -> None:
    """Nobody asks the call to end."""


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "_away_until", 0.0)
    monkeypatch.setattr(buckets, "_told_at", 0.0)


def taken(model: str, tokens: int) -> bool:
    try:
        buckets.take(model, tokens, check=never)
    except RateLimited:
        return False
    return True


def test_a_bucket_holds_what_its_limit_says_for_all_who_ask_at_once(pay: Pay) -> None:
    pay(limits=FOUR_AT_ONCE, max_wait_s=0)
    with ThreadPoolExecutor(20) as many:
        assert sum(many.map(lambda _: taken("openai/plain", 1), range(40))) == 4
    assert taken("openai/other", 1), "another model has no limit"


def test_two_processes_share_one_bucket(pay: Pay) -> None:
    pay(limits=FOUR_AT_ONCE, max_wait_s=0)
    environment = {"PROVIDERS_LIMITS": FOUR_AT_ONCE, "PROVIDERS_MAX_WAIT_S": "0"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    began = time.monotonic()
    total = sum(int(one.communicate(timeout=60)[0]) for one in both)
    flowed_in = (time.monotonic() - began) * 24 / 60
    assert 4 <= total <= 4 + flowed_in + 1


def test_a_limit_of_a_provider_is_shared_by_its_models(pay: Pay) -> None:
    pay(limits="openai=24rpm;openai/mute=6rpm", max_wait_s=0)
    assert [taken("openai/plain", 1), taken("openai/slow", 1)] == [True, True]
    assert [taken("openai/mute", 1), taken("openai/mute", 1)] == [True, False]
    assert [taken(f"openai/{name}", 1) for name in "abc"] == [True, True, False]


def test_tokens_are_put_right_once_they_are_known(pay: Pay) -> None:
    pay(limits=A_THOUSAND, max_wait_s=0)
    first = buckets.take("openai/plain", 1000, check=never)
    assert not taken("openai/plain", 500)
    first.correct(100)
    assert taken("openai/plain", 500)
    first.put_back()
    assert taken("openai/plain", 5_000), "a call larger than its bucket takes a whole one"
    assert not taken("openai/plain", 900)


def test_a_wait_ends_when_the_step_is_to_end_and_gives_its_place_back(pay: Pay) -> None:
    pay(limits="openai/plain=6rpm", max_wait_s=60)
    buckets.take("openai/plain", 1, check=never)

    def asked() -> None:
        raise Cancelled

    began = time.monotonic()
    with pytest.raises(Cancelled):
        buckets.take("openai/plain", 1, check=asked)
    assert time.monotonic() - began < 9
    pay(limits="openai/plain=6rpm", max_wait_s=11)
    assert buckets._take(buckets.Limit("openai/plain", 6, 0), 1) <= 10  # type: ignore[operator]


def test_whoever_would_wait_too_long_is_tried_again_later_and_holds_no_worker(
    pay: Pay, scripted: ScriptedModel
) -> None:
    pay(limits="openai/plain=6rpm", max_wait_s=1)
    job_id = begin(thinking)
    assert taken("openai/plain", 1)
    drain()

    assert read(job_id).status == JobStatus.RUNNING
    with transaction() as session:
        row = list_steps(session, job_id)[0]
    assert (row.status, row.attempt, row.lease_until) == (StepStatus.READY, 0, None)
    assert row.error is not None
    assert row.error["code"] == "provider_rate_limited"
    assert row.ready_at is not None
    assert (calls(), scripted.calls["plain"]) == ([], 0)


def test_a_cancel_reaches_a_call_that_waits_for_its_turn(pay: Pay, scripted: ScriptedModel) -> None:
    pay(limits="openai/plain=1rpm", max_wait_s=120)
    assert taken("openai/plain", 1)
    job_id = begin(thinking)
    worker = threading.Thread(target=drain)
    worker.start()
    while read(job_id).status != JobStatus.RUNNING:
        worker.join(0.02)
    with transaction() as session:
        lifecycle.request_cancel(session.connection(), job_id)
    worker.join(20)
    assert not worker.is_alive()
    assert read(job_id).status == JobStatus.CANCELLED
    assert (calls(), scripted.calls["plain"]) == ([], 0)


def test_a_providers_refusal_holds_for_everybody(pay: Pay) -> None:
    pay("limited", limits="openai/limited=60000rpm", max_wait_s=0)
    assert taken("openai/limited", 1)
    begin(thinking)
    drain()
    with pytest.raises(Unavailable) as refused:
        buckets.take("openai/limited", 1, check=None)
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 2


def test_without_redis_everything_passes_and_is_counted(pay: Pay, valkey: EmbeddedValkey) -> None:
    pay(limits=FOUR_AT_ONCE, max_wait_s=0)
    valkey.stop()
    assert all(taken("openai/plain", 1) for _ in range(6))
    with connection() as conn:
        assert totals(conn)[buckets.FAILED_OPEN][""] >= 1


def test_a_forgotten_bucket_is_a_full_one(pay: Pay, redis_url: str) -> None:
    pay(limits=FOUR_AT_ONCE, max_wait_s=0)
    first = buckets.take("openai/plain", 1, check=never)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        first.put_back()
        assert client.keys("longrun:bucket:*") == []
    assert sum(taken("openai/plain", 1) for _ in range(6)) == 4
