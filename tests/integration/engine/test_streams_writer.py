"""What a step streams reaches Redis at once and Postgres for good."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from config.db import connection
from config.redis import announce, channel, client
from config.settings import settings
from models.jobs.claims import Superseded
from models.jobs.streams import RESET, TOKEN, Entry, text_of
from tests.streaming import StreamingJob, numbers, redis_key

pytestmark = pytest.mark.usefixtures("database_url", "redis_url")


@pytest.fixture
def job() -> StreamingJob:
    return StreamingJob()


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact ten times as often as in production."""
    stream = settings.stream.model_copy(update={"compact_s": 0.1})
    fast = settings.model_copy(update={"stream": stream})
    monkeypatch.setattr("tasks.streams.settings", fast)


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def live(job_id: UUID) -> list[Entry]:
    rows: Any = client().xrange(redis_key(job_id))
    return [
        Entry(int(id_.split(b"-")[0]), fields[b"k"].decode(), fields[b"d"].decode())
        for id_, fields in rows
    ]


@pytest.fixture
def heard(job: StreamingJob) -> Iterator[Any]:
    """Listen on the job's channel."""
    pubsub: Any = client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    pubsub.subscribe(channel(job.id))
    pubsub.get_message(timeout=1)
    yield pubsub
    pubsub.close()


def test_the_whole_text_is_returned_and_stored_with_the_success(job: StreamingJob) -> None:
    tokens = job.tokens()
    assert tokens.write(iter(["It ", "is ", "", "a truth"])) == "It is a truth"
    job.complete(tokens)
    kinds = [(one.kind, one.data) for one in job.stored()]
    assert kinds == [("token", "It "), ("token", "is "), ("token", "a truth"), ("end", "")]
    assert job.stored()[0].n == job.claim.epoch * 10**9 + 1


def test_the_first_token_is_sent_at_once(job: StreamingJob) -> None:
    tokens = job.tokens()
    started = time.monotonic()
    tokens.emit(TOKEN, "Indeed")
    eventually(lambda: len(live(job.id)) == 1)
    assert time.monotonic() - started < settings.stream.flush_s
    tokens.close()


def test_a_batch_is_one_message(job: StreamingJob, heard: Any) -> None:
    tokens = job.tokens()
    for k in range(50):
        tokens.emit(TOKEN, f"{k} ")
    eventually(lambda: len(live(job.id)) == 50)
    batches = []
    while message := heard.get_message(timeout=0.1):
        batches.append(json.loads(message["data"] or b"[]"))
    told = [entry for batch in batches for entry in batch]
    assert told == [list(one) for one in live(job.id)]
    assert len([batch for batch in batches if batch]) < 10
    tokens.close()


@pytest.mark.usefixtures("brisk")
def test_stored_entries_are_cut_from_redis(job: StreamingJob) -> None:
    tokens = job.tokens()
    for k in range(60):
        tokens.emit(TOKEN, f"{k} ")
        time.sleep(0.01)
    eventually(lambda: len(job.stored()) == 60)
    eventually(lambda: live(job.id)[-1] == job.stored()[-1])
    assert len(live(job.id)) < 60
    assert 0 < client().ttl(redis_key(job.id)) <= settings.stream.keep_s
    tokens.close()


def test_a_new_attempt_begins_with_a_reset(job: StreamingJob) -> None:
    first = job.tokens()
    first.write(iter(["dead ", "text"]))
    first.save()
    job.take_over()
    second = job.tokens()
    second.write(iter(["live ", "text"]))
    job.complete(second)
    entries = job.stored()
    assert numbers(entries) == [1, 2, 1, 2, 3, 4]
    assert entries[2].kind == RESET
    assert text_of(entries) == "live text"


@pytest.mark.usefixtures("brisk")
def test_a_zombie_is_stopped_and_adds_nothing(job: StreamingJob) -> None:
    zombie = job.tokens()
    zombie.emit(TOKEN, "mine ")
    zombie.save()
    job.take_over()
    heir = job.tokens()
    heir.emit(TOKEN, "no, mine")
    eventually(lambda: len(live(job.id)) == 3)

    def hang() -> Iterator[str]:
        while True:
            time.sleep(0.02)
            yield "still mine "

    with pytest.raises(Superseded):
        zombie.write(hang())
    job.complete(heir)
    zombie.abandon()
    assert [one.data for one in job.stored()] == ["mine ", "", "no, mine", ""]
    assert [one.data for one in live(job.id)][-3:] == ["", "no, mine", ""]


def test_a_repeated_batch_is_stored_once(job: StreamingJob) -> None:
    tokens = job.tokens()
    tokens.emit(TOKEN, "once ")
    with connection() as conn:
        tokens.store(conn)  # applied, but the writer never learns of it
    tokens.emit(TOKEN, "only")
    job.complete(tokens)
    assert text_of(job.stored()) == "once only"
    assert numbers(job.stored()) == [1, 2, 3]


def test_storing_in_the_background_never_meets_the_completion(job: StreamingJob) -> None:
    """Both would insert the same entries, and one of them would fail."""
    stream = settings.stream.model_copy(update={"compact_s": 0.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.streams.settings", settings.model_copy(update={"stream": stream}))
        for _ in range(20):
            one = StreamingJob()
            tokens = one.tokens()
            text = tokens.write(f"{k} " for k in range(200))
            one.complete(tokens)
            assert text_of(one.stored()) == text


def test_what_postgres_refuses_is_replaced(job: StreamingJob) -> None:
    tokens = job.tokens()
    text = tokens.write(iter(["a\0b", "\ud83d", "\U0001f600", "\u2019"]))
    assert text == "a\ufffdb\ufffd\U0001f600\u2019"
    job.complete(tokens)
    assert text_of(job.stored()) == text


def test_an_error_of_the_model_reaches_the_step(job: StreamingJob) -> None:
    def broken() -> Iterator[str]:
        yield "half a "
        raise OSError("connection reset")

    tokens = job.tokens()
    with pytest.raises(OSError, match="connection reset"):
        tokens.write(broken())
    tokens.abandon()
    tokens.close()
    assert text_of(job.stored()) == "half a "


def test_a_model_that_keeps_us_waiting_does_not_hold_up_a_cancel(job: StreamingJob) -> None:
    class Cancelled(BaseException):
        pass

    closed: list[bool] = []

    def hang() -> Iterator[str]:
        try:
            yield "one "
            while True:
                time.sleep(0.01)
                yield ""
        finally:
            closed.append(True)

    asked = time.monotonic() + 0.2

    def check() -> None:
        if time.monotonic() > asked:
            raise Cancelled

    tokens = job.tokens()
    tokens._check = check
    with pytest.raises(Cancelled):
        tokens.write(hang())
    assert time.monotonic() - asked < 2 * settings.engine.cancel_poll_s
    eventually(lambda: closed == [True])
    tokens.abandon()
    tokens.close()
    assert text_of(job.stored()) == "one "


def test_announcements_of_one_job_are_merged(job: StreamingJob, heard: Any) -> None:
    for _ in range(1000):
        announce(job.id)
    eventually(lambda: heard.get_message(timeout=1) is not None)
    rest = 0
    while heard.get_message(timeout=0.1):
        rest += 1
    assert rest < 900
