"""A Postgres that is not there, or refuses what is said."""

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config.db import connection
from config.local import EmbeddedPostgres


async def test_a_request_is_told_to_come_again_however_postgres_is_away(
    client: httpx.AsyncClient, postgres: EmbeddedPostgres
) -> None:
    assert (await client.get("/jobs")).status_code == 200
    postgres.kill()

    lost = await client.get("/jobs")  # over a connection that was open
    refused = await client.get("/jobs")  # over one that is to be opened

    assert [one.status_code for one in (lost, refused)] == [503, 503]
    assert refused.json()["code"] == "database_unavailable"
    assert int(refused.headers["retry-after"]) >= 1


def test_an_error_does_not_quote_what_was_to_be_stored(owner: None) -> None:
    asked = text("SELECT 1 / CAST(:none AS int), CAST(:said AS text)")
    with connection() as conn, pytest.raises(DBAPIError) as raised:
        conn.execute(asked, {"none": 0, "said": "between us"})

    assert "between us" not in str(raised.value)
