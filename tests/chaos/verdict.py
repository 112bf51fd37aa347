"""What has to be true when all is quiet again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import text

from config.db import connection
from models.jobs.streams import entries_after, text_of
from tests.chaos.load import Load
from tests.chaos.outside import CountingModel, Inbox
from tests.chaos.readers import Reading
from tests.chaos.settle import PASSING

SHOWN = 20  # violations of one rule


@dataclass
class Check:
    """One rule: how many things it was held against, and what broke it."""

    rule: str
    looked_at: int
    wrong: list[str] = field(default_factory=list)


def query(sql: str, **values: Any) -> list[Any]:
    """Return the rows of a query."""
    with connection() as conn:
        return list(conn.execute(text(sql), values))


def _check(rule: str, looked_at: int, wrong: Iterable[Any]) -> Check:
    return Check(rule, looked_at, [str(one) for one in wrong][:SHOWN])


def no_job_is_lost(load: Load) -> Check:
    """Every job that somebody was promised is there, and has ended as it may."""
    rows = {r.id: r for r in query("SELECT id, status, error->>'code' AS code FROM job")}
    wrong = []
    for job_id, known in load.jobs.items():
        row = rows.get(job_id)
        if row is None:
            wrong.append(f"{known.kind} {job_id} is gone")
        elif row.status not in known.ends and not (row.status == "failed" and row.code in PASSING):
            wrong.append(f"{known.kind} {job_id} is {row.status} ({row.code})")
    return _check("no job is lost", len(load.jobs), wrong)


def no_job_is_started_twice(load: Load) -> Check:
    """Of the tests' pipelines there are no jobs but those that somebody knows of."""
    rows = query("""
        SELECT id, pipeline FROM job WHERE pipeline LIKE 'tests.%' AND forked_from IS NULL
        AND NOT EXISTS (SELECT FROM schedule_fire WHERE job_id = job.id)""")
    wrong = [tuple(row) for row in rows if row.id not in load.jobs]
    return _check("no job is started twice", len(rows), wrong)


def nothing_is_stuck(left: Sequence[Any]) -> Check:
    """No job is open, no step runs, none is held by a node that is not there."""
    steps = query("SELECT job_id, name, status FROM step WHERE status IN ('ready', 'running')")
    jobs = query("SELECT count(*) FROM job")[0][0]
    return _check("no job is stuck and no step runs", jobs, [*left, *map(tuple, steps)])


def failures_are_the_weathers(_: Load) -> Check:
    """A job has failed only for want of a worker, a connection or time."""
    rows = query(f"""
        SELECT id, pipeline, error FROM job
        WHERE status = 'failed' AND error->>'code' NOT IN {PASSING}""")
    return _check("nothing fails but by what was broken", len(rows), map(tuple, rows))


def effects_are_there_once(load: Load) -> Check:
    """The ledger has one row per writing step that has succeeded, and no other."""
    rows = query("""
        SELECT step.job_id, step.name, step.status, count(e.id) FROM step
        JOIN job ON job.id = step.job_id LEFT JOIN test_effect e
        ON e.job_id = step.job_id AND step.name IN (e.name, 'write_' || e.name)
        WHERE step.name IN ('write_first', 'write_last', 'record', 'keep') AND step.epoch > 0
            AND job.pipeline LIKE 'tests.%'
        GROUP BY step.id HAVING count(e.id) <> (step.status = 'succeeded')::int""")
    total = query("SELECT count(*) FROM test_effect")[0][0]
    missing = []
    for job_id, known in load.jobs.items():
        if known.effects:
            found = query("SELECT name FROM test_effect WHERE job_id = :j", j=job_id)
            if sorted(row.name for row in found) != sorted(known.effects):
                missing.append((known.kind, job_id, sorted(row.name for row in found)))
    return _check("every effect is there once", total, [*map(tuple, rows), *missing])


def events_are_dense(_: Load) -> Check:
    """A job's log has no gap, tells each success once and each job's end as often as it ended."""
    gaps = query("""
        SELECT job.id, job.pipeline, event_seq, count(seq), max(seq) FROM job
        LEFT JOIN job_event ON job_id = job.id GROUP BY job.id
        HAVING count(seq) <> event_seq OR max(seq) <> event_seq""")
    twice = query("""
        SELECT job_id, data, count(*) FROM job_event WHERE type = 'step.succeeded'
        GROUP BY job_id, data HAVING count(*) > 1""")
    total = query("SELECT count(*) FROM job_event")[0][0]
    return _check("events are dense and tell each success once", total, map(tuple, gaps + twice))


def transcripts_are_as_stored(
    readings: Sequence[Reading], fresh: dict[UUID, Reading], taken_up: Iterable[UUID]
) -> Check:
    """What each reader has put together is, byte by byte, what is stored and told afresh."""
    again = set(taken_up)
    wrong = []
    for one in readings:
        if one.job_id in again:
            continue  # it went on after its readers had been told that it had ended
        with connection() as conn:
            stored = text_of(entries_after(conn, one.job_id, 0))
        if not one.text == stored == fresh[one.job_id].text:
            wrong.append(f"{one.job_id}: {one.text[:60]!r} is not {stored[:60]!r}")
        if one.doubles():
            wrong.append(f"{one.job_id}: {one.doubles()} tokens twice")
        if one.events != fresh[one.job_id].events:
            wrong.append(f"{one.job_id}: the events differ: {_difference(one, fresh)}")
    return _check("every transcript is the stored text", len(readings), wrong)


def _difference(one: Reading, fresh: dict[UUID, Reading]) -> str:
    theirs = fresh[one.job_id].events
    lost = [event for event in theirs if event not in one.events]
    more = [event for event in one.events if event not in theirs]
    return f"{len(one.events)} against {len(theirs)}, lost {lost[:2]}, more {more[:2]}"


def outputs_are_the_streams(_: Load) -> Check:
    """What a step has returned is what its readers were told."""
    rows = query("""
        SELECT job_id, output->>'text' AS text FROM step
        WHERE name IN ('speak', 'write_reply') AND status = 'succeeded'""")
    wrong = []
    for row in rows:
        with connection() as conn:
            if text_of(entries_after(conn, row.job_id, 0)) != row.text:
                wrong.append(row.job_id)
    return _check("what a step returns is what it has streamed", len(rows), wrong)


def schedules_have_fired(schedule_id: UUID, every_s: int, paused_at: datetime | None) -> Check:
    """Every fire happened, and once: with a job of its own."""
    rows = query(
        "SELECT scheduled_for, status, job_id FROM schedule_fire WHERE schedule_id = :s"
        " ORDER BY scheduled_for",
        s=schedule_id,
    )
    apart = timedelta(seconds=every_s)
    times = [row.scheduled_for for row in rows]
    wrong: list[Any] = [
        f"{later - one} between {one} and {later}"
        for one, later in pairwise(times)
        if later - one != apart
    ]
    wrong += [tuple(row) for row in rows if row.status != "started" or row.job_id is None]
    if len({row.job_id for row in rows}) != len(rows):
        wrong.append("two fires have one job")
    if paused_at is None or not times or paused_at - times[-1] > apart + timedelta(seconds=3):
        wrong.append(f"the last fire was at {times[-1:]}, the schedule ended at {paused_at}")
    return _check(f"a schedule of every {every_s} s fired each time and once", len(rows), wrong)


def webhooks_were_told(inbox: Inbox) -> Check:
    """Every event has arrived, as one message however often it was sent."""
    rows = query("SELECT id, job_id, event, status FROM webhook_delivery")
    wrong: list[Any] = []
    for row in rows:
        told = inbox.told.get(str(row.id), set())
        if row.status != "delivered" or told != {(str(row.job_id), row.event)}:
            wrong.append((row.id, row.event, row.status, told))
    untold = query("""
        SELECT job.id, job.pipeline FROM job JOIN webhook ON webhook.owner_id = job.owner_id
        WHERE NOT EXISTS (SELECT FROM webhook_delivery WHERE job_id = job.id)""")
    unknown = set(inbox.told) - {str(row.id) for row in rows}
    rule = "every webhook event arrived under one id"
    return _check(rule, len(rows), [*wrong, *map(tuple, untold), *unknown])


def model_calls_are_paid_once(model: CountingModel) -> Check:
    """A reply is asked for at most once per attempt, a plan's week once more than that.

    Each has been, unless it succeeded without its model: a plan that fell back says so.
    """
    replies = query(r"""
        SELECT substring(job.input->>'message' FROM 'mark-[0-9a-f]{12}') AS mark,
            sum(step.epoch) AS allowed, bool_or(step.status = 'succeeded') AS done
        FROM job JOIN step ON step.job_id = job.id AND step.name = 'write_reply'
        WHERE pipeline = 'books.chat' GROUP BY 1""")
    plans = query(r"""
        SELECT substring(goal.title FROM 'mark-[0-9a-f]{12}') AS mark,
            sum(3 + step.epoch - 1) AS allowed,
            bool_or(step.status = 'succeeded' AND EXISTS (
                SELECT FROM goal_plan_version AS version
                WHERE version.goal_id = goal.id AND version.source <> 'fallback')) AS done
        FROM goal JOIN job ON job.pipeline = 'goals.plan'
            AND job.input->>'goal_id' = goal.id::text
        JOIN step ON step.job_id = job.id AND step.name = 'draft' GROUP BY 1""")
    wrong = []
    for name, rows in (("plain", replies), ("planner", plans)):
        for row in rows:
            calls = model.marked[name, row.mark]
            if row.mark and (calls > row.allowed or (row.done and not calls)):
                wrong.append(f"{name} {row.mark}: {calls} calls, {row.allowed} allowed")
    total = sum(model.marked.values())
    return _check("no model is asked more often than attempts were made", total, wrong)


def books_are_alike(load: Load) -> Check:
    """The same novel, read in again and again, has the same cast and passages each time."""
    books = load.made.get("books", [])
    rows = query("""
        SELECT book.id, total_chunks, (
            SELECT string_agg(name || mention_count || quote_count, '|' ORDER BY name)
            FROM character WHERE book_id = book.id) AS cast_of FROM book
        JOIN job ON job.id = book.job_id WHERE job.status = 'succeeded'""")
    told = {(row.total_chunks, row.cast_of) for row in rows}
    wrong = told if len(told) > 1 else []
    return _check("a book is the same each time it is read in", len(books), wrong)


def live_indexes_are_whole(_: Load) -> Check:
    """What a live version is said to hold can be found in it, by meaning and by words."""
    rows = query("""
        WITH live AS (
            SELECT book.id || '_v' || index_version AS name, total_chunks AS told, true AS words
            FROM book JOIN job ON job.id = book.job_id
            WHERE index_version > 0 AND job.status = 'succeeded'
            UNION ALL
            SELECT 'goals_' || name || '_v' || version, chunks, false FROM goal_corpus
            WHERE version > 0
        )
        SELECT name, told, words, (SELECT count(*) FROM vector_passage WHERE collection = name),
            (SELECT count(*) FROM keyword_passage WHERE collection = name) AS found FROM live""")
    wrong = [
        tuple(row) for row in rows if row.count != row.told or (row.words and row.found != row.told)
    ]
    return _check("a live index holds all that it is said to hold", len(rows), wrong)


def products_have_ended(load: Load) -> Check:
    """Every goal has a plan or says why not; every account has one mail."""
    goals = query("""
        SELECT goal.id, title, job.status FROM goal LEFT JOIN job ON job.id = job_id
        WHERE plan_json IS NULL AND coalesce(job.status, '') NOT IN ('failed', 'cancelled')""")
    mails = query("SELECT recipient, count(*) FROM outbox_mail GROUP BY 1 HAVING count(*) > 1")
    sent = {row.recipient for row in query("SELECT recipient FROM outbox_mail")}
    missing = [one for one in load.made.get("mails", []) if one not in sent]
    wrong = [*map(tuple, goals), *map(tuple, mails), *missing]
    looked_at = len(load.made.get("goals", [])) + len(load.made.get("mails", []))
    return _check("products have what they were promised, once", looked_at, wrong)


OF_THE_LOAD: Sequence[Callable[[Load], Check]] = (
    no_job_is_lost,
    no_job_is_started_twice,
    failures_are_the_weathers,
    effects_are_there_once,
    events_are_dense,
    outputs_are_the_streams,
    books_are_alike,
    live_indexes_are_whole,
    products_have_ended,
)
