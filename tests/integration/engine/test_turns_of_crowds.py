"""Whose turn it is costs no more to find out where very many wait."""

import pytest
from sqlalchemy import Connection, text

from config.db import connection
from models.jobs import turns
from tests.pipelines import OWNER

pytestmark = pytest.mark.usefixtures("owner")


def crowd(conn: Connection, owners: int, jobs: int) -> None:
    """Put ready steps of `owners` people into the queue, `jobs` in all."""
    conn.execute(
        text(
            "INSERT INTO job (id, pipeline, fingerprint, owner_id, input, status, progress, fused,"
            " parts, priority, event_seq, created_at) SELECT longrun_uuid7(), 'tests.halves', 'f',"
            " :owner, '{}', 'queued', 0, false, 1, 0, 1, now() FROM generate_series(1, 1)"
        ),
        {"owner": OWNER},
    )
    conn.execute(
        text(
            "INSERT INTO step (id, job_id, owner_id, position, name, item_key, item_index,"
            " optional, fan_out, queue, priority, status, generation, attempt, max_attempts, epoch)"
            " SELECT longrun_uuid7(), job.id, md5((n % :owners)::text)::uuid, 0, 'two_halves',"
            " n::text, n, false, false, 'io', n % 3, 'ready', 1, 0, 3, 0"
            " FROM generate_series(1, :jobs) AS n, job"
        ),
        {"owners": owners, "jobs": jobs},
    )


def pages_read(conn: Connection, free: int) -> int:
    """Return how many pages choosing reads."""
    given = {
        "queue": "io", "free": free, "owner": turns.FIRST[0], "priority": turns.FIRST[1],
        "lines": turns.LINES, "per_owner": 0, "age_s": 60.0,
    }  # fmt: skip
    asked = text("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(turns._CHOOSE)).bindparams(
        *turns._CHOOSE._bindparams.values()
    )
    told = conn.execute(asked, given).scalar_one()[0]["Plan"]
    return int(told["Shared Hit Blocks"] + told["Shared Read Blocks"])


@pytest.mark.parametrize("owners", [1, 40, 5_000])
def test_choosing_reads_no_more_of_many_steps_than_of_few(owners: int) -> None:
    with connection() as conn:
        crowd(conn, owners, 20_000)
        conn.execute(text("ANALYZE step"))
        assert pages_read(conn, 2) < 1_500  # some ten per line
