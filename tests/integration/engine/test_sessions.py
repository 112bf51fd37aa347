"""Nothing stays behind in a session: a pooler may give the next transaction another one."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from config.db import engine
from models.jobs.tables import JobStatus
from tasks import firing
from tasks.adapters.vectors import PgVectors
from tasks.dispatcher import Dispatcher
from tests import pipelines
from tests.inline import drain
from tests.pipelines import Numbers
from tests.stack import read, start
from tests.suites.search import PASSAGES, VECTORS

# Prepared statements are not asked for: they are left out by a setting (DATABASE_DIRECT_URL).
LEFT_BEHIND = """
SELECT 'lock ' || classid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
UNION ALL SELECT 'listens to ' || channel FROM pg_listening_channels() AS channel
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'setting ' || name FROM pg_settings
    WHERE source = 'session' AND name NOT LIKE 'transaction%'  -- the transaction that asks
"""


@pytest.fixture
def left_behind(owner: None) -> Iterator[list[str]]:
    """What transactions leave in their sessions, from now on."""
    found: list[str] = []

    def look(connection: Any, _: Any) -> None:
        if connection is not None:
            found.extend(row[0] for row in connection.cursor().execute(LEFT_BEHIND, prepare=False))
            connection.rollback()

    event.listen(engine(), "checkin", look)
    yield found
    event.remove(engine(), "checkin", look)


def test_the_engine_leaves_nothing_behind_in_a_session(left_behind: list[str]) -> None:
    running = (pipelines.line, pipelines.fan, pipelines.speaking)
    jobs = [start(one, Numbers(count=3)) for one in running]
    drain()
    Dispatcher().tick()
    firing.tick()

    assert {read(one).status for one in jobs} == {JobStatus.SUCCEEDED}
    assert left_behind == []


def test_searches_leave_nothing_behind_in_a_session(left_behind: list[str]) -> None:
    vectors = PgVectors(large=1)
    vectors.create("one", len(VECTORS[0]))
    vectors.upsert("one", PASSAGES, VECTORS)

    assert vectors.search("one", VECTORS[0], top_k=2)
    assert left_behind == []
