"""What people do with a job: run it again, fork it, answer it, cancel it."""

from typing import Any

import httpx
from starlette.concurrency import run_in_threadpool

from config.db import connection
from tests.inline import drain
from tests.integration.starting import run, started


async def test_items_that_were_left_out_are_run_alone_with_what_uses_them(
    client: httpx.AsyncClient, tmp_path: Any
) -> None:
    told = await run(client, "tests.tolerant", fail=["n1"], folder=str(tmp_path))
    assert (told["status"], told["output"]) == ("succeeded_degraded", {"value": 4})
    (tmp_path / "mended").touch()

    answer = await client.post(f"/jobs/{told['id']}/resume")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    await run_in_threadpool(drain)

    found = (await client.get(f"/jobs/{told['id']}")).json()
    assert (found["status"], found["output"]) == ("succeeded", {"value": 6})
    assert (found["progress"], found["degraded"]) == (1.0, [])
    paid = {path.stem: len(path.read_text().split()) for path in tmp_path.glob("*.paid")}
    assert paid == {"double-n0": 1, "double-n1": 2, "double-n2": 1, "aside": 1}


async def test_a_failed_job_resumes_from_the_step_that_failed(
    client: httpx.AsyncClient, tmp_path: Any
) -> None:
    told = await run(client, "tests.line", fail=["flaky_step"], folder=str(tmp_path))
    assert told["status"] == "failed"
    (tmp_path / "mended").touch()

    answer = await client.post(f"/jobs/{told['id']}/resume")
    await run_in_threadpool(drain)

    assert answer.status_code == 202
    found = (await client.get(f"/jobs/{told['id']}")).json()
    assert (found["status"], found["output"]) == ("succeeded", {"rows": 3})
    again = await client.post(f"/jobs/{told['id']}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "not_resumable")


async def test_a_fork_begins_at_its_step_with_edited_outputs(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.fan", count=3)
    fork = {"step": "add", "edits": {"outputs": {"left": {"value": 100}}}}

    forked = (await client.post(f"/jobs/{told['id']}/fork", json=fork)).json()
    await run_in_threadpool(drain)
    steps = (await client.get(f"/jobs/{forked['id']}/steps")).json()

    assert forked["forked_from"] == told["id"]
    assert (await client.get(f"/jobs/{forked['id']}")).json()["status"] == "succeeded"
    assert {one["attempt"] for one in steps if one["name"] == "double"} == {0}
    with connection() as conn:
        outputs = {
            row.name: row.output
            for row in conn.exec_driver_sql(
                "SELECT name, output FROM step WHERE job_id = %(j)s", {"j": forked["id"]}
            )
        }
    assert outputs["add"] == {"total": 103}
    wrong = await client.post(f"/jobs/{told['id']}/fork", json={"step": "nowhere"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_step")


async def test_a_waiting_job_goes_on_with_the_answer(client: httpx.AsyncClient) -> None:
    told = await run(client, "tests.asking")
    (asks, _) = (await client.get(f"/jobs/{told['id']}/steps")).json()
    assert (told["status"], asks["question"]["question"]) == ("waiting", "What is your name?")

    wrong = {"step": "ask_name", "value": {"nobody": 1}}
    await client.post(f"/jobs/{told['id']}/answer", json=wrong)
    await run_in_threadpool(drain)
    assert (await client.get(f"/jobs/{told['id']}")).json()["status"] == "waiting"
    right = {"step": "ask_name", "value": {"name": "Ann"}}
    await client.post(f"/jobs/{told['id']}/answer", json=right)
    await run_in_threadpool(drain)

    found = (await client.get(f"/jobs/{told['id']}")).json()
    assert found["output"] == {"text": "Hello, Ann!"}
    late = await client.post(f"/jobs/{told['id']}/answer", json=right)
    assert (late.status_code, late.json()["code"]) == (409, "not_waiting")


async def test_a_cancel_is_final_and_can_be_repeated(client: httpx.AsyncClient) -> None:
    told = await started(client, "tests.fan")

    first = await client.post(f"/jobs/{told['id']}/cancel")
    again = await client.post(f"/jobs/{told['id']}/cancel")
    await run_in_threadpool(drain)

    assert (first.json()["status"], again.json()["status"]) == ("cancelled", "cancelled")
    done = await run(client, "tests.fan")
    late = await client.post(f"/jobs/{done['id']}/cancel")
    assert (late.status_code, late.json()["status"]) == (200, "succeeded")
