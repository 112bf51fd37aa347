"""What an item costs does not grow with the number of its siblings; the last one down is seen."""

from collections.abc import Sequence
from threading import Thread
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from config.db import connection, engine, single_statement
from models.jobs import claims, hints, transitions
from models.jobs.claims import Claim, Taker
from models.jobs.statements import COUNT_ALWAYS
from models.jobs.tables import JobStatus, StepStatus, job, step
from tests.explaining import watched
from tests.inline import drain, run
from tests.pipelines import Numbers, fan
from tests.stack import read, start

LONG = 2_000  # items
FEW_ROWS = 60  # of the steps, that one statement of an item may read
TAKER = Taker(uuid4(), 0, 60, 60)


@pytest.fixture(autouse=True)
def _owned(owner: None) -> None:
    """Every test has an owner."""


def fanned_out(count: int, *, fail: Sequence[str] = ()) -> UUID:
    """Start a job and carry out what makes its items."""
    job_id = start(fan, Numbers(count=count, fail=list(fail)))
    run(due(1)[0])
    return job_id


def due(limit: int) -> list[hints.Hint]:
    with connection() as conn:
        return hints.take_due(conn, "io", limit)


def taken(job_id: UUID, index: int) -> Claim:
    which = (step.c.job_id == job_id) & (step.c.item_index == index) & (step.c.chain.is_(None))
    with single_statement() as conn:
        step_id = conn.execute(select(step.c.id).where(which, step.c.name == "double")).scalar_one()
        held = claims.claim(
            conn, job_id, step_id, 1, fingerprint=fan.fingerprint, taker=TAKER,
            over=("list_numbers", "items"),
        )  # fmt: skip
    assert held is not None
    return held


def test_a_claim_brings_its_item_and_not_the_whole_list() -> None:
    held = taken(fanned_out(3), 2)

    assert held.item == {"key": "n2", "value": 2}
    assert held.outputs == {}


@pytest.mark.parametrize("fails", [False, True])
def test_an_item_reads_none_of_its_siblings(fails: bool) -> None:
    end_half_of(fanned_out(LONG, fail=[f"n{LONG // 2}"] if fails else []))
    (hint,) = due(1)

    with watched() as scans:
        assert run(hint) is not fails

    assert not [str(one) for one in scans if one.table == "step" and one.rows > FEW_ROWS]


def end_half_of(job_id: UUID) -> None:
    with connection() as conn:
        conn.execute(
            text(
                "UPDATE step SET status = 'succeeded', output = '{}' "
                "WHERE job_id = :job AND name = 'double' AND item_index < :half"
            ),
            {"job": job_id, "half": LONG // 2},
        )
        conn.execute(text("UPDATE job SET event_seq = event_seq + :many"), {"many": COUNT_ALWAYS})
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))


def test_the_bar_moves_with_each_item_of_a_few() -> None:
    job_id = fanned_out(4)
    bars = []
    for hint in due(3):
        run(hint)
        with connection() as conn:
            bars.append(conn.execute(select(job.c.progress).where(job.c.id == job_id)).scalar())

    assert bars == pytest.approx([(1 + part / 4) / fan.parts for part in (1, 2, 3)])


def test_two_that_end_at_once_do_not_each_leave_the_rest_to_the_other() -> None:
    job_id = fanned_out(2)
    first, second = taken(job_id, 0), taken(job_id, 1)
    found: list[claims.Advanced | None] = []

    def end_second() -> None:
        with single_statement() as conn:
            found.append(
                claims.advance(conn, second, {"key": "n1", "value": 2}, taker=TAKER, take=False)
            )

    with connection() as conn:
        assert claims.advance(conn, first, {"key": "n0", "value": 0}, taker=TAKER, take=False)
        other = Thread(target=end_second)
        other.start()
        wait_for_a_lock()
    other.join()

    assert found == [None]  # and nothing changed: the ordinary way follows
    with connection() as conn:
        opened = transitions.complete(conn, second, {"key": "n1", "value": 2}, fan.expand)
    assert {one.name for one in opened} == {"left", "right"}
    drain()
    assert read(job_id).status == JobStatus.SUCCEEDED


def wait_for_a_lock() -> None:
    """Return once somebody waits for what this test has locked."""
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    for _ in range(2_000):
        with single_statement() as conn:
            if conn.execute(blocked).scalar_one():
                return
    raise AssertionError("nobody waits")


def test_the_last_item_down_is_left_to_the_ordinary_way() -> None:
    job_id = fanned_out(1)
    held = taken(job_id, 0)

    with single_statement() as conn:
        after = claims.advance(conn, held, {"key": "n0", "value": 0}, taker=TAKER, take=False)
        status = conn.execute(select(step.c.status).where(step.c.id == held.step_id)).scalar_one()

    assert after is None
    assert status == StepStatus.RUNNING
