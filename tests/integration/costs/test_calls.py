"""Every call of a paid model stands in the ledger, whatever becomes of it."""

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from config.db import connection, engine, transaction
from models.base import now
from models.costs import ledger
from models.costs.totals import call_figures, count_settled
from models.jobs import lifecycle, retention
from models.jobs.tables import JobStatus
from tasks import failpoints, spending
from tasks.pipeline import get_pipeline
from tests.inline import drain
from tests.integration.costs.conftest import Pay
from tests.integration.costs.paying import ASKED, begin, calls, spent_by_owner, telling, thinking
from tests.pipelines import OWNER
from tests.scripted_model import ScriptedModel
from tests.stack import read


def test_each_call_is_written_down_with_its_cost(pay: Pay) -> None:
    job_id = begin(thinking, calls=2)
    drain()

    assert read(job_id).status == JobStatus.SUCCEEDED
    rows = calls()
    assert [(row.step, row.purpose, row.model, row.attempt) for row in rows] == [
        ("think", "chat", "openai/plain", 1),
        ("think", "chat", "openai/plain", 1),
        ("place", "embedding", "openai/plain", 1),
    ]
    assert [(row.prompt_tokens, row.completion_tokens) for row in rows] == [(3, 5), (3, 5), (1, 0)]
    assert [row.cost_microusd for row in rows] == [13, 13, 1]
    assert not any(row.estimated for row in rows)
    assert spent_by_owner() == {27}, "what was set aside and not spent is given back"


def test_a_stream_costs_what_its_provider_says(pay: Pay) -> None:
    job_id = begin(telling)
    drain()
    told = read(job_id)
    assert told.status == JobStatus.SUCCEEDED
    (row,) = calls()
    assert (row.prompt_tokens, row.completion_tokens, row.cached_tokens) == (30, 40, 20)
    assert (row.cost_microusd, row.estimated) == (110, False)


def test_tokens_that_a_provider_does_not_count_are_counted_here(pay: Pay) -> None:
    pay("mute")
    begin(telling)
    drain()
    (row,) = calls()
    assert row.estimated
    assert (row.prompt_tokens, row.completion_tokens) == (6, 41)
    assert row.cost_microusd == 6 + 2 * 41


def test_an_answer_that_broke_off_costs_what_came(pay: Pay) -> None:
    pay("cut")
    begin(telling)
    drain()
    row = calls()[0]
    assert row.estimated
    assert row.completion_tokens == 21
    assert row.settled_at is not None


def test_a_call_that_the_provider_refused_costs_nothing(pay: Pay) -> None:
    pay("limited")
    begin(thinking)
    drain()
    (row,) = calls()
    assert (row.cost_microusd, row.prompt_tokens, spent_by_owner()) == (0, 0, {0})


def test_a_cancelled_stream_leaves_what_it_has_cost(pay: Pay, scripted: ScriptedModel) -> None:
    pay("slow")
    job_id = begin(telling)
    worker = threading.Thread(target=drain)
    worker.start()
    while not scripted.calls["slow"]:
        worker.join(0.02)
    with transaction() as session:
        lifecycle.request_cancel(session.connection(), job_id)
    worker.join(10)

    assert read(job_id).status == JobStatus.CANCELLED
    (row,) = calls()
    assert row.estimated
    assert row.settled_at is not None
    assert 0 < row.cost_microusd < row.reserved_microusd
    assert spent_by_owner() == {row.cost_microusd}


def test_our_own_model_is_free_and_takes_no_trip_to_the_ledger(
    owner: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.adapters.metering import Call, metered

    monkeypatch.setattr(spending, "single_statement", None)
    with metered(Call("offline/own-words", "chat", ["Hello"])):
        pass

    assert calls() == []


@pytest.mark.parametrize("place", ["reserved", "answered"])
def test_a_call_whose_worker_died_is_settled_at_its_estimate(
    pay: Pay, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = begin(thinking)
    monkeypatch.setattr(failpoints, "_FOLDER", str(tmp_path))
    (tmp_path / place).write_text("")
    engine().dispose()
    child = os.fork()
    if child == 0:
        engine().dispose(close=False)
        drain()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    (row,) = calls()
    assert row.settled_at is None, "the reservation can be seen"
    assert row.job_id == job_id
    assert spent_by_owner() == {row.reserved_microusd}
    for _ in range(2):
        with connection() as conn:
            ledger.settle_abandoned(conn, before=now() + timedelta(seconds=1))
    (row,) = calls()
    assert (row.cost_microusd, row.estimated) == (row.reserved_microusd, True)
    assert row.settled_at is not None
    assert spent_by_owner() == {row.reserved_microusd}


def test_the_upkeep_leaves_calls_alone_that_may_be_under_way(pay: Pay) -> None:
    from tests.integration.costs.test_budgets import a_call

    job_id = begin(thinking)
    with connection() as conn:
        ledger.reserve(conn, a_call(job_id, microusd=10))
    upkeep = get_pipeline("upkeep.settle_costs")
    with transaction() as session:
        upkeep.start(session, upkeep.parse({}), owner=OWNER)
    drain()
    assert calls()[0].settled_at is None


def test_the_ledger_and_its_sums_outlive_the_job(pay: Pay) -> None:
    job_id = begin(thinking)
    drain()
    with connection() as conn:
        before = [tuple(row) for row in call_figures(conn)]
        count_settled(conn)
        assert [tuple(row) for row in call_figures(conn)] == before
        count_settled(conn)
        retention.prune(conn, before=now() + timedelta(seconds=1))
    assert {row.job_id for row in calls()} == {job_id}
    with connection() as conn:
        assert ledger.forget_calls(conn, before=now() + timedelta(seconds=1)) == 2
        assert [tuple(row) for row in call_figures(conn)] == before
    assert (sum(row[2] for row in before), ASKED[0].role) == (2, "user")
