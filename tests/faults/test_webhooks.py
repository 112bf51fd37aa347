"""Webhooks from real workers, which die: everything that is to be told is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

import pytest
from sqlmodel import select
from standardwebhooks import Webhook as Signature

from config.db import engine, transaction
from config.settings import settings
from models.base import now
from models.webhooks.keeping import keep_webhook
from models.webhooks.tables import DeliveryStatus, WebhookCreate, WebhookDelivery
from tests import pipelines
from tests.pipelines import OWNER, Numbers
from tests.stack import Stack, ended, fresh_database, live_queues, prepare_owner, start, wait_for

pytestmark = pytest.mark.timeout(180)


class Inbox(ThreadingHTTPServer):
    """Takes messages on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.taken: list[tuple[dict[str, str], bytes, float]] = []


class Take(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((dict(self.headers), body, now().timestamp()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def stack(
    _postgres_server: None, _valkey_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    fresh_database()
    prepare_owner()
    running = Stack(tmp_path_factory.mktemp("stack"), FETCH_ALLOW_LOOPBACK="true")
    running.start_worker("io")
    wait_for(lambda: "io" in live_queues(), 60)
    yield running
    running.stop()
    engine().dispose()


@pytest.fixture
def secret(stack: Stack, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> str:
    allowed = settings.fetch.model_copy(update={"allow_loopback": True})
    monkeypatch.setattr(
        "models.webhooks.keeping.settings", settings.model_copy(update={"fetch": allowed})
    )
    new = WebhookCreate(url=f"http://127.0.0.1:{inbox.server_address[1]}/hook")
    with transaction() as session:
        return keep_webhook(session, new, owner=OWNER)[1]


def open_deliveries() -> int:
    over = WebhookDelivery.status != DeliveryStatus.DELIVERED
    with transaction() as session:
        return len(session.exec(select(WebhookDelivery.id).where(over)).all())


def told(inbox: Inbox, secret: str) -> dict[UUID, float]:
    """When each job was told of for the first time; all signatures are good."""
    first: dict[UUID, float] = {}
    for headers, body, at in inbox.taken:
        content = Signature(secret).verify(body, headers)
        first.setdefault(UUID(content["data"]["id"]), at)
    return first


def test_what_ends_is_told_within_seconds(stack: Stack, inbox: Inbox, secret: str) -> None:
    jobs = [start(pipelines.fan, Numbers(count=1)) for _ in range(10)]
    finished = {job: ended(job, 60).finished_at.timestamp() for job in jobs}

    wait_for(lambda: len(inbox.taken) >= len(jobs), 30)

    first = told(inbox, secret)
    waited = sorted(first[job] - finished[job] for job in jobs)
    print(f"\ntold after p50 {waited[len(jobs) // 2]:.2f} s, at most {waited[-1]:.2f} s")
    wait_for(lambda: not open_deliveries(), 30)
    assert len(inbox.taken) == len(jobs)


@pytest.mark.parametrize("failpoint", ["claimed", "ran"])
def test_a_worker_killed_while_it_tells_tells_again(
    stack: Stack, inbox: Inbox, secret: str, failpoint: str
) -> None:
    job = start(pipelines.fan, Numbers(count=1))
    ended(job, 60)
    stack.arm(failpoint, "worker")

    wait_for(lambda: not open_deliveries(), 90, between=stack.revive)

    assert set(told(inbox, secret)) == {job}
    assert len({headers["webhook-id"] for headers, _, _ in inbox.taken}) == 1
