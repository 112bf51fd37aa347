"""The dashboard and the alert rules speak of nothing that /metrics does not serve."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select, update

from config.db import connection, transaction
from models.base import new_id, now
from models.costs.tables import model_call_daily
from models.jobs.bookkeeping import node
from models.jobs.lifecycle import request_cancel
from models.jobs.tables import job, step
from models.schedules.firing import lateness_s
from models.schedules.keeping import keep_schedule
from models.schedules.tables import Schedule, ScheduleCreate
from models.schedules.times import CatchUp
from models.webhooks.deliveries import note_outcomes, take_due
from models.webhooks.keeping import keep_webhook
from models.webhooks.tables import Outcome, WebhookCreate
from tasks import firing
from tests import inline
from tests.pipelines import OWNER, fan
from tests.stack import prepare_owner, start

DOCKER = Path(__file__).resolve().parents[2] / "docker"
DASHBOARD = json.loads((DOCKER / "grafana/longrun.json").read_text())
RULES = yaml.safe_load((DOCKER / "prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    },
}
METRIC = re.compile(r"\b(?:longrun|http|processing)_\w+")
LABELS = re.compile(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


@pytest.fixture
def platform(database_url: str, redis_url: str) -> None:
    """A platform of which every figure has something to say."""
    prepare_owner()
    start(fan)
    inline.drain()
    job_id = start(fan)
    with connection() as conn:
        conn.execute(
            insert(node).values(
                id=new_id(), hostname="h", pid=1, slots={"io": 1}, fingerprints={},
                draining=False, beat_at=now(),
            )
        )  # fmt: skip
        conn.execute(update(step).where(step.c.job_id == job_id).values(published_at=now()))
        conn.execute(
            insert(model_call_daily).values(
                day=now().date(), model="a/b", purpose="chat", calls=1, unpriced=1,
                prompt_tokens=9, completion_tokens=9, cached_tokens=0, cost_microusd=0,
            )
        )  # fmt: skip


async def served() -> dict[str, set[str]]:
    """What /metrics serves: the labels by the name of the sample."""
    async with inline.api() as client:
        await client.get("/health")
        answer: httpx.Response = await client.get("/metrics")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def labels_of(expression: str) -> Iterator[str]:
    yield from LABELS.findall(expression)
    for names in GROUPED.findall(expression):
        yield from (name.strip() for name in names.split(","))


@pytest.mark.usefixtures("platform")
async def test_every_metric_and_label_that_is_shown_or_watched_is_served() -> None:
    known = await served()

    for title, expression in EXPRESSIONS.items():
        names = set(METRIC.findall(expression))
        assert names, title
        assert names <= known.keys(), title
        labels = set().union(*(known[name] for name in names))
        assert set(labels_of(expression)) <= labels, title
        assert expression.count("(") == expression.count(")"), title


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+m", rule["for"])


def test_panels_have_a_place_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    places = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in DASHBOARD["panels"]]

    assert len(set(ids)) == len(set(places)) == len(ids)


@pytest.mark.usefixtures("platform")
async def test_fires_webhooks_and_draining_workers_are_told_as_they_are() -> None:
    with transaction() as session:
        row = keep_schedule(
            session,
            ScheduleCreate(name="a", pipeline="tests.fan", every_s=60, catch_up=CatchUp.SKIP),
            input={},
            owner=OWNER,
        )
        row.next_at = row.due_at = since = row.anchor
        session.connection().execute(update(node).values(draining=True))
        keep_webhook(session, WebhookCreate(url="http://a.example/"), owner=OWNER)
    with connection() as conn:
        job_id = conn.execute(select(job.c.id).where(job.c.finished_at.is_(None))).scalar_one()
        request_cancel(conn, job_id)
    firing.tick(since + timedelta(minutes=60, seconds=5))
    with transaction() as session:
        (taken,) = take_due(session)
        note_outcomes(session, [Outcome(delivery_id=taken, at=now(), problem="no answer")])

    told = await figures()

    assert told["longrun_nodes"] == told["longrun_nodes_draining"] == 1
    assert told['longrun_schedule_fires_total{status="missed"}'] == 1
    assert told['longrun_schedule_fires_total{status="started"}'] == 1  # the one that is 5 s old
    assert told['longrun_webhook_attempts_total{status="pending"}'] == 1
    assert told["longrun_webhook_pending"] == 1
    assert 0 < told["longrun_webhook_oldest_seconds"] < 100
    assert told["longrun_webhook_late_seconds"] == 0


async def figures() -> dict[str, float]:
    async with inline.api() as client:
        answer = await client.get("/metrics")
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in answer.text.splitlines()
        if line[0] != "#"
    }


@pytest.mark.usefixtures("platform")
def test_a_schedule_is_late_once_it_is_due_and_not_paused() -> None:
    with transaction() as session:
        row = Schedule(
            owner_id=OWNER, name="a", pipeline="tests.fan", input={}, every_s=9, anchor=now()
        )
        row.due_at = now() - timedelta(seconds=60)
        session.add(row)
        session.flush()
        assert 59 < lateness_s(session.connection()) < 70
        row.paused_at = now()
        session.flush()
        assert lateness_s(session.connection()) == 0
