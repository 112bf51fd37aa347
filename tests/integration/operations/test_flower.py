"""What a real Flower shows of our tasks, and to whom."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.db import connection
from config.settings import FlowerSettings, settings
from models.jobs import hints
from tasks import publisher
from tasks.celery import app
from tests.pipelines import line
from tests.ports import free_port
from tests.stack import ROOT, answers, kill_family, start, wait_for

pytestmark = pytest.mark.timeout(180)
OPERATOR = ("operator", "a-password-of-a-test")
PUBLIC = "https://longrun.example"


@pytest.fixture
def flower(owner: None, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = f"celery -A tests.worker flower --conf={ROOT}/config/flower.py"
    with (tmp_path / "flower.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT,
            env={
                **os.environ,
                "FLOWER_PORT": str(port),
                "FLOWER_PASSWORD": OPERATOR[1],
                "WEB_PUBLIC_URL": PUBLIC,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{url}/healthcheck"), 120)
        yield url
    finally:
        kill_family(running)


def tell(flower: httpx.Client, task: Any) -> httpx.Response:
    """Tell of a task as a worker does that has got its hint, until Flower has heard of it."""

    def shown() -> httpx.Response | None:
        with app.connection_for_write() as broker, app.events.Dispatcher(broker, "io@h") as told:
            told.send(
                "task-received", uuid=task.id, name=task.task, args=repr(task.args), kwargs="{}"
            )
        page = flower.get(f"/task/{task.id}")
        return page if page.status_code == 200 else None

    found: httpx.Response = wait_for(shown, 60)
    return found


def test_flower_tells_operators_where_a_task_s_job_is_and_changes_nothing(flower: str) -> None:
    job_id = start(line)
    with connection() as conn:
        (hint,) = hints.take_due(conn, "io", 1)
    task = publisher._one(hint)

    with httpx.Client(base_url=flower, auth=OPERATOR, timeout=30) as operator:
        page = tell(operator, task).text
        revoked = operator.post(f"/api/task/revoke/{task.id}")
        sent = operator.post(f"/api/task/send-task/{task.task}", json={"args": []})
        listed = operator.get("/api/tasks").json()
    with httpx.Client(base_url=flower, timeout=30) as nobody:
        refused = {nobody.get(path).status_code for path in ("/", f"/task/{task.id}", "/api/tasks")}

    assert f"{PUBLIC}/jobs/{job_id}" in page
    assert f"{PUBLIC}/admin/job/detail?pk={job_id}" in page
    assert f"step {hint.step_id}" in page
    assert "tests.line.write_first" in page
    assert listed[task.id]["name"] == "tests.line.write_first"
    assert (revoked.status_code, sent.status_code, refused) == (403, 403, {401})


@pytest.mark.parametrize(
    ("configured", "base"),
    [
        ({"environment": "production"}, None),
        ({}, "http://127.0.0.1:5555"),
        (
            {"flower": FlowerSettings(public_url="https://flower.example/")},
            "https://flower.example",
        ),
    ],
)
async def test_a_step_says_where_flower_shows_its_task(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    configured: dict[str, Any],
    base: str | None,
) -> None:
    monkeypatch.setattr("models.jobs.steps.settings", settings.model_copy(update=configured))
    job_id = start(line)

    step, *_ = (await client.get(f"/jobs/{job_id}/steps")).json()

    assert step["flower_url"] == (f"{base}/task/{step['task_id']}" if base else None)
