"""Schedules over HTTP: made, refused, paged, changed, triggered."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.concurrency import run_in_threadpool

from config.db import connection, transaction
from models.accounts import User
from models.base import new_id, now
from models.jobs import nodes
from tests.inline import drain
from tests.pipelines import OWNER

DAILY = {"name": "Daily", "pipeline": "tests.fan", "input": {"count": 1}, "cron": "30 2 * * *"}


async def make(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/schedules", json=DAILY | changes)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_schedule_says_when_it_fires_next(client: httpx.AsyncClient) -> None:
    told = await make(client, time_zone="Europe/Berlin", jitter_s=60)

    assert (await client.get(f"/schedules/{told['id']}")).json() == told
    upcoming = (await client.get(f"/schedules/{told['id']}/upcoming?limit=3")).json()
    assert upcoming[0]["scheduled_for"] == told["next_at"]
    for fire in upcoming:
        at, due = (datetime.fromisoformat(fire[name]) for name in ("scheduled_for", "due_at"))
        assert at > now()
        assert timedelta(0) <= due - at <= timedelta(seconds=60)
    assert told["problem"] is None


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"cron": "0 0 31 2 *"}, 422, "invalid_cron"),
        ({"cron": "0 0 30 2 *"}, 422, "invalid_cron"),
        ({"cron": "61 * * * *"}, 422, "invalid_cron"),
        ({"cron": "0 0 1 1 * 2020"}, 422, "invalid_cron"),  # the past only, in dialects with years
        ({"cron": "every day"}, 422, "invalid_cron"),
        ({"cron": "* " * 200}, 422, "invalid_request"),
        ({"time_zone": "Mars/Olympus"}, 422, "unknown_time_zone"),
        ({"pipeline": "no.such"}, 404, "unknown_pipeline"),
        ({"pipeline": "books.ingest"}, 404, "unknown_pipeline"),
        ({"input": {"count": "many"}}, 422, "invalid_input"),
        ({"input": {"fail": ["a\x00b"]}}, 422, "unstorable"),
        ({"every_s": 60}, 422, "ambiguous_cadence"),
        ({"cron": None}, 422, "ambiguous_cadence"),
        ({"every_s": 0, "cron": None}, 422, "invalid_request"),
        ({"every_s": -60, "cron": None}, 422, "invalid_request"),
        ({"every_s": 10**12, "cron": None}, 422, "invalid_request"),
        ({"name": ""}, 422, "invalid_request"),
        ({"name": "n" * 100_000}, 422, "invalid_request"),
        ({"name": "a\x00b"}, 422, "unstorable"),
        ({"pipeline": "p" * 100_000}, 422, "invalid_request"),
        ({"pipeline": "no\x00such"}, 404, "unknown_pipeline"),
        ({"time_zone": "Europe/Berlin\x00"}, 422, "unknown_time_zone"),
        ({"catch_up_limit": 0}, 422, "invalid_request"),
        ({"unheard_of": 1}, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_clear_error(
    client: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await client.post("/schedules", json=DAILY | changes)

    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["title"]
    if code == "invalid_cron":
        assert told["details"]["problem"]
    assert (await client.get("/schedules")).json()["schedules"] == []


def announce_node(**fingerprints: str) -> None:
    values = {
        "id": new_id(), "hostname": "h", "pid": 1, "slots": {"io": 1}, "draining": False,
        "fingerprints": fingerprints,
    }  # fmt: skip
    with connection() as conn:
        nodes.beat(conn, values, lease_s=10)


async def test_a_pipeline_that_no_worker_knows_is_refused(client: httpx.AsyncClient) -> None:
    early = await make(client)
    await run_in_threadpool(announce_node, other="1")

    answer = await client.post("/schedules", json=DAILY)

    assert (answer.status_code, answer.json()["code"]) == (409, "no_worker_for_pipeline")
    told = (await client.get(f"/schedules/{early['id']}")).json()
    assert told["problem"] == "no_worker_for_pipeline"


async def test_an_admin_may_schedule_any_pipeline(client: httpx.AsyncClient) -> None:
    change = {"pipeline": "upkeep.prune_blobs", "input": {}}
    assert (await client.post("/schedules", json=DAILY | change)).status_code == 404
    with transaction() as session:
        session.get_one(User, OWNER).role = "admin"  # type: ignore[assignment]

    assert (await make(client, **change))["pipeline"] == "upkeep.prune_blobs"
    answer = await client.get("/schedules?system=true")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_role")


async def test_schedules_are_paged_newest_first(client: httpx.AsyncClient) -> None:
    ids = [(await make(client))["id"] for _ in range(5)]

    first = (await client.get("/schedules?limit=3")).json()
    rest = (await client.get(f"/schedules?limit=3&before={first['next']}")).json()

    assert [one["id"] for one in first["schedules"] + rest["schedules"]] == ids[::-1]
    assert rest["next"] is None


async def test_a_new_cadence_counts_from_now(client: httpx.AsyncClient) -> None:
    told = await make(client)

    changed = await client.patch(f"/schedules/{told['id']}", json={"every_s": 90, "name": "Often"})

    body = changed.json()
    assert (body["name"], body["cron"], body["every_s"]) == ("Often", None, 90)
    ahead = datetime.fromisoformat(body["next_at"]) - now()
    assert timedelta(seconds=80) < ahead <= timedelta(seconds=90)
    for wrong in ({"cron": "x"}, {"time_zone": "x"}, {"input": {"count": "x"}}):
        assert (await client.patch(f"/schedules/{told['id']}", json=wrong)).status_code == 422
    assert (await client.get(f"/schedules/{told['id']}")).json() == body


async def test_a_pause_is_undone_by_a_resume(client: httpx.AsyncClient) -> None:
    told = await make(client)

    paused = (await client.post(f"/schedules/{told['id']}/pause")).json()
    again = (await client.post(f"/schedules/{told['id']}/pause")).json()
    resumed = (await client.post(f"/schedules/{told['id']}/resume")).json()

    assert paused == again
    assert paused["paused_at"]
    assert paused["next_at"] is None
    assert (resumed["paused_at"], resumed["next_at"]) == (None, told["next_at"])


async def test_a_trigger_fires_now_unless_the_job_before_runs(client: httpx.AsyncClient) -> None:
    told = await make(client, paused=True)
    path = f"/schedules/{told['id']}"

    fire = (await client.post(f"{path}/trigger")).json()
    assert (fire["status"], fire["manual"]) == ("started", True)
    beside = await client.post(f"{path}/trigger")
    assert (beside.status_code, beside.json()["code"]) == (409, "schedule_still_running")
    await run_in_threadpool(drain)
    job = (await client.get(f"/jobs/{fire['job_id']}")).json()
    assert (job["status"], job["pipeline"]) == ("succeeded", "tests.fan")
    later = (await client.post(f"{path}/trigger")).json()

    first = (await client.get(f"{path}/fires?limit=1")).json()
    rest = (await client.get(f"{path}/fires?limit=1&before={first['next']}")).json()
    assert [*first["fires"], *rest["fires"]] == [later, fire]


async def test_a_deleted_schedule_leaves_its_jobs(client: httpx.AsyncClient) -> None:
    told = await make(client)
    fire = (await client.post(f"/schedules/{told['id']}/trigger")).json()

    assert (await client.delete(f"/schedules/{told['id']}")).status_code == 204

    gone = await client.get(f"/schedules/{told['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "schedule_not_found")
    assert (await client.get(f"/jobs/{fire['job_id']}")).status_code == 200
