"""Nothing is bought that a budget does not allow for, however many ask at once."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import UUID

import pytest

from config.db import connection, single_statement, transaction
from models.accounts import provision_user
from models.base import new_id
from models.costs import ledger
from models.costs.budgets import InvalidBudget, budgets_of, cap_job
from models.costs.ledger import BudgetExceeded, NewCall, PriceUnknown, Spent
from models.costs.tables import Budget
from models.jobs.tables import JobStatus
from tasks.pipeline import Pipeline, get_pipeline
from tests.inline import drain
from tests.integration.costs.conftest import Pay
from tests.integration.costs.paying import Ask, begin, calls, spent_by_owner, think, thinking
from tests.pipelines import OWNER
from tests.scripted_model import ScriptedModel
from tests.stack import read

AT_ONCE = 20


def a_call(job_id: UUID, *, microusd: int | None, owner: UUID = OWNER) -> NewCall:
    return NewCall(
        job_id, "think", "", 1, 1, owner, "openai/plain", "chat", 10, 10, reserved_microusd=microusd
    )  # fmt: skip


def reserved(job_id: UUID, microusd: int | None, owner: UUID = OWNER) -> UUID | None:
    try:
        with single_statement() as conn:
            return ledger.reserve(conn, a_call(job_id, microusd=microusd, owner=owner))
    except BudgetExceeded:
        return None


def allow(**amounts: str) -> None:
    dollars = {f"{name}_usd": Decimal(amount) for name, amount in amounts.items()}
    with transaction() as session:
        session.merge(Budget.model_validate({"owner_id": OWNER, **dollars}))


@pytest.mark.parametrize("budget", ["job", "daily", "monthly"])
def test_callers_at_once_cannot_pass_a_budget_together(pay: Pay, budget: str) -> None:
    job_id = begin(thinking, budget_usd=Decimal("0.000050") if budget == "job" else None)
    if budget != "job":
        allow(**{budget: "0.000050"})
    with ThreadPoolExecutor(AT_ONCE) as many:
        ids = list(many.map(lambda _: reserved(job_id, 10), range(AT_ONCE)))
    assert len([one for one in ids if one]) == 5
    assert (len(calls()), spent_by_owner()) == (5, {50})


def test_a_persons_jobs_share_the_budget_while_calls_are_settled_at_once(pay: Pay) -> None:
    allow(daily="0.001", monthly="0.001")
    jobs = [begin(thinking) for _ in range(4)]

    def spend(number: int) -> int:
        call_id = reserved(jobs[number % 4], 100)
        if call_id is None:
            return 0
        with single_statement() as conn:
            ledger.settle(conn, call_id, Spent(1, 1, 0, 30, estimated=False))
            assert not ledger.settle(conn, call_id, Spent(1, 1, 0, 30, estimated=False))
        return 30

    with ThreadPoolExecutor(8) as many:
        total = sum(many.map(spend, range(60)))
    assert spent_by_owner() == {total}
    assert total <= 1000
    while spend(0):
        pass
    assert spent_by_owner() == {930}  # a further 100 would be too much


def test_a_job_over_its_budget_fails_and_goes_on_once_it_was_raised(
    pay: Pay, scripted: ScriptedModel
) -> None:
    job_id = begin(thinking, calls=3, max_tokens=100, budget_usd=Decimal("0.000240"))
    drain()

    told = read(job_id)
    assert told.status == JobStatus.FAILED
    assert told.error is not None
    assert told.error["code"] == "budget_exceeded"
    assert told.error["details"]["budget"] == "job"
    assert told.error["details"]["spent_microusd"] == 26
    assert scripted.calls["plain"] == 2, "the third was not made"

    with transaction() as session:
        cap_job(session.connection(), job_id, Decimal("1"))
    with transaction() as session:
        from models.jobs.queries import get_job

        get_pipeline("tests.thinking").resume(session, get_job(session, job_id, owner=OWNER))
    drain()
    assert read(job_id).status == JobStatus.SUCCEEDED


def test_the_settings_budget_holds_for_who_has_none_of_their_own(pay: Pay) -> None:
    pay(daily_usd="0.000010")
    job_id = begin(thinking)
    assert reserved(job_id, 11) is None
    allow(monthly="5")
    assert reserved(job_id, 11), "a row of one's own replaces the default as a whole"
    with connection() as conn:
        left = budgets_of(conn, job_id=job_id, owner=OWNER)
    assert left.day.cap_microusd is None
    assert (left.month.cap_microusd, left.month.remaining_microusd) == (5_000_000, 4_999_989)


def test_one_persons_spending_is_not_anothers(pay: Pay) -> None:
    pay(daily_usd="0.000010")
    job_id, stranger = begin(thinking), new_id()
    with transaction() as session:
        provision_user(session, stranger)
    assert reserved(job_id, 10)
    assert reserved(job_id, 10, stranger)
    assert reserved(job_id, 10) is None


def test_a_price_that_nobody_knows_is_no_matter_of_budgets_unless_one_says_so(pay: Pay) -> None:
    pay(prices="", daily_usd="0.000001")
    job_id = begin(thinking)
    drain()
    assert read(job_id).status == JobStatus.SUCCEEDED
    assert {row.cost_microusd for row in calls()} == {None}
    assert calls()[0].prompt_tokens == 3

    pay(prices="", daily_usd="0.000001", unknown_price="refuse")
    with pytest.raises(PriceUnknown):
        reserved(job_id, None)
    pay(prices="", unknown_price="refuse")
    assert reserved(job_id, None), "without a budget there is nothing to hold"


@pytest.mark.parametrize("amount", [0, -1, float("nan"), float("inf"), 0.0000001, 1e9])
def test_a_budget_of_nothing_is_no_budget(amount: float) -> None:
    with pytest.raises(InvalidBudget):
        Pipeline("tests.penniless", think, input=Ask, budget_usd=amount)


def test_a_pipelines_budget_is_each_jobs(pay: Pay) -> None:
    tight = Pipeline("tests.tight", think, input=Ask, budget_usd=0.000001)
    job_id = begin(tight)
    drain()
    error = read(job_id).error
    assert error is not None
    assert error["code"] == "budget_exceeded"
