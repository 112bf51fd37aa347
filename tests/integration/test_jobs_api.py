"""Jobs over HTTP: started, found, waited for."""

import asyncio
from uuid import uuid4

import httpx
from starlette.concurrency import run_in_threadpool

from api.answers import answer
from config.db import connection, transaction
from models.accounts import SYSTEM_USER_ID, issue_token, provision_user
from models.base import new_id
from models.jobs.tables import job
from pipelines.upkeep.prune_jobs import PruneJobs, prune_jobs
from tests.inline import drain
from tests.integration.starting import run, started
from tests.pipelines import OWNER, Numbers, fan


async def test_a_started_job_runs_to_its_output(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan", count=4)

    assert (told["status"], told["output"], told["progress"]) == ("succeeded", {"rows": 1}, 1.0)
    steps = (await client.get(f"/jobs/{told['id']}/steps")).json()
    assert [one["item"] for one in steps if one["name"] == "double"] == ["n0", "n1", "n2", "n3"]


async def test_an_unknown_pipeline_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post("/jobs/no.such", json={})

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_pipeline")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_pipeline_that_is_not_startable_is_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.post("/jobs/books.ingest", json={})).status_code == 404


async def test_input_that_does_not_fit_is_refused_with_what_is_wrong(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/jobs/tests.fan", json={"count": "many"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["details"]["errors"][0]["loc"] == ["count"]


async def test_unknown_and_foreign_jobs_are_not_found(client: httpx.AsyncClient) -> None:
    told = await started(client, "tests.fan")
    with transaction() as session:
        token = issue_token(session, provision_user(session, new_id()).id)
    stranger = {"Authorization": f"Bearer {token}"}

    for path in ("", "/steps", "/events"):
        assert (await client.get(f"/jobs/{uuid4()}{path}")).status_code == 404
        foreign = await client.get(f"/jobs/{told['id']}{path}", headers=stranger)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "job_not_found")
    for verb in ("cancel", "resume", "retry"):
        foreign = await client.post(f"/jobs/{told['id']}/{verb}", headers=stranger)
        assert foreign.status_code == 404


async def test_an_invalid_token_is_refused_and_never_a_guest(client: httpx.AsyncClient) -> None:
    answer = await client.get("/jobs", headers={"Authorization": "Bearer wrong"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


async def test_a_key_sent_again_starts_nothing_twice(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    first = await client.post("/jobs/tests.fan", json={"count": 2}, headers=key)
    again = await client.post("/jobs/tests.fan", json={"count": 2}, headers=key)
    other = await client.post("/jobs/tests.fan", json={"count": 3}, headers=key)

    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_jobs_are_paged_newest_first(client: httpx.AsyncClient) -> None:
    ids = [(await started(client, "tests.fan"))["id"] for _ in range(5)]
    first = (await client.get("/jobs", params={"limit": 3})).json()
    rest = (await client.get("/jobs", params={"limit": 3, "before": first["next"]})).json()

    assert [one["id"] for one in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next"] is None
    assert (await client.get("/jobs", params={"status": "failed"})).json()["jobs"] == []


async def test_an_unchanged_job_answers_304(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan")
    answer = await client.get(f"/jobs/{told['id']}")
    same = {"If-None-Match": answer.headers["etag"]}

    assert (await client.get(f"/jobs/{told['id']}", headers=same)).status_code == 304


async def test_a_failed_item_fails_the_job_and_keeps_its_siblings(
    client: httpx.AsyncClient,
) -> None:
    told = await run(client, "tests.fan", fail=["n1"])
    steps = (await client.get(f"/jobs/{told['id']}/steps")).json()

    assert (told["status"], told["error"]["code"]) == ("failed", "test_refused")
    assert told["error"]["item"] == "n1"
    assert [one["status"] for one in steps if one["name"] == "double"] == [
        "succeeded", "failed", "succeeded",
    ]  # fmt: skip


async def test_optional_items_that_fail_leave_the_job_degraded(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.tolerant", fail=["n1"])

    assert (told["status"], told["output"]) == ("succeeded_degraded", {"value": 4})
    assert [(one["step"], one["item"]) for one in told["degraded"]] == [("double", "n1")]


async def test_events_read_back_in_order_and_end(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.speaking", count=5)

    text = (await client.get(f"/jobs/{told['id']}/events")).text

    assert text.startswith("retry: 2000\nid: 1-0\nevent: job.queued")
    assert [text.count(f'"w{k} "') for k in range(5)] == [1] * 5
    assert text.rstrip().endswith('data: {"status": "succeeded"}')
    last = [line[4:] for line in text.splitlines() if line.startswith("id: ")][-1]
    over = await client.get(f"/jobs/{told['id']}/events", headers={"Last-Event-ID": last})
    assert over.status_code == 204


async def test_a_cursor_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan", count=1)

    for cursor in ("x", "1", "1-", "-1-2", "1-2-3", "1e3-2", "9" * 30 + "-0"):
        answer = await client.get(f"/jobs/{told['id']}/events", params={"after": cursor})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor"), cursor


async def test_a_stream_token_opens_its_own_job_only(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan", count=1)
    other = await run(client, "tests.fan", count=1)
    token = (await client.post(f"/jobs/{told['id']}/stream-token")).json()

    assert (await client.get(token["url"])).status_code == 200
    wrong = await client.get(f"/jobs/{other['id']}/events", params={"token": token["token"]})
    assert wrong.status_code == 401


async def test_a_wait_ends_with_the_job(client: httpx.AsyncClient) -> None:
    told = await started(client, "tests.fan", count=1)

    waiting = asyncio.create_task(client.get(f"/jobs/{told['id']}", params={"wait": 20}))
    await asyncio.sleep(0.1)
    await run_in_threadpool(drain)

    assert (await waiting).json()["status"] == "succeeded"


async def test_an_answer_is_the_job_at_its_end(client: httpx.AsyncClient) -> None:
    asked = asyncio.create_task(answer(fan, Numbers(count=2), owner=OWNER, timeout_s=20))
    while not await run_in_threadpool(drain):
        await asyncio.sleep(0.01)

    told = await asked

    assert (told.status, told.output) == ("succeeded", {"rows": 1})


async def test_an_answer_that_takes_too_long_is_a_job_that_goes_on(
    client: httpx.AsyncClient,
) -> None:
    told = await answer(fan, Numbers(count=1), owner=OWNER, timeout_s=0.1)
    assert (told.status, told.finished_at) == ("queued", None)

    await run_in_threadpool(drain)

    assert (await client.get(f"/jobs/{told.id}")).json()["status"] == "succeeded"


async def test_old_jobs_are_pruned_and_still_counted(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan", count=1)
    with connection() as conn:
        conn.exec_driver_sql("UPDATE job SET finished_at = now() - interval '31 days'")

    with transaction() as session:
        provision_user(session, SYSTEM_USER_ID)
        prune_jobs.start(session, PruneJobs(), owner=SYSTEM_USER_ID)
    await run_in_threadpool(drain)

    assert (await client.get(f"/jobs/{told['id']}")).status_code == 404
    metrics = (await client.get("/metrics")).text
    assert 'longrun_jobs_total{pipeline="tests.fan",status="succeeded"} 1.0' in metrics
    with connection() as conn:
        assert conn.execute(job.select()).one().pipeline == "upkeep.prune_jobs"


async def test_readiness_says_that_no_worker_lives(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ready")

    assert answer.status_code == 503
    assert "worker:io" in answer.json()["missing"]


async def test_pipelines_are_listed_with_what_they_take(client: httpx.AsyncClient) -> None:
    found = {one["name"]: one for one in (await client.get("/pipelines")).json()}

    assert found["books.ingest"]["steps"][0] == "open_edition"
    assert "book_id" in found["books.ingest"]["input_schema"]["properties"]
    assert str(OWNER) not in str(found)
