"""A Postgres that is not there."""

import httpx

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
