"""The text of the statements that every step pays for; `claims` and `running` send them.

Each is one round trip. All lock the job's row before any step's row, as all transitions do.
"""

from sqlalchemy import BigInteger, Boolean, Float, Integer, String, Uuid, bindparam
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from models.base import one_statement
from models.jobs.tables import ACTIVE_SIBLING

# Siblings are counted for the job's bar with each of so many first events, then at times only: what
# an item costs may not grow with their number.
COUNT_ALWAYS = 256
COUNT_EVERY = 16


def counts_siblings(event: int) -> bool:
    """Say whether the siblings of a step that ends with this event are counted."""
    return event <= COUNT_ALWAYS or event % COUNT_EVERY == 0


_SUCCEED = """
    UPDATE step SET
        status = 'succeeded', output = :output, error = NULL, lease_until = NULL,
        idle_deadline = NULL, finished_at = clock_timestamp()
    FROM ahead
    WHERE step.id = :step AND step.epoch = :epoch AND step.status = 'running'
    RETURNING step.job_id, step.name, step.item_key
"""
_SUCCEEDED = (
    "jsonb_strip_nulls(jsonb_build_object('step', done.name, 'item', nullif(done.item_key, '')))"
)
# Items are taken in order: the last of them is active longest.
_OTHER_ACTIVE = f"""
    SELECT id FROM step
    WHERE job_id = :job AND position = :position AND {ACTIVE_SIBLING}
        AND id IS DISTINCT FROM :step
    ORDER BY item_index DESC LIMIT 1
"""  # noqa: S608 — the condition is ours
OTHER_ACTIVE = one_statement(
    _OTHER_ACTIVE,
    bindparam("job", type_=Uuid()),
    bindparam("position", type_=Integer()),
    bindparam("step", type_=Uuid()),
)

# `@>`, not `= ANY`: with an empty list Postgres takes that for free, and plans the whole statement
# anew each time.
CLAIM = one_statement(
    """
WITH live AS MATERIALIZED (
    SELECT id FROM job
    WHERE id = :job AND fingerprint = :fingerprint
        AND finished_at IS NULL AND cancel_requested_at IS NULL
    FOR NO KEY UPDATE
), taken AS (
    UPDATE step SET
        status = 'running', epoch = epoch + 1, attempt = attempt + 1, node = :node, pid = :pid,
        lease_until = clock_timestamp() + make_interval(secs => :lease_s),
        idle_deadline = clock_timestamp() + make_interval(secs => :idle_s),
        published_at = coalesce(published_at, now()), started_at = clock_timestamp(), error = NULL
    FROM live
    WHERE step.id = :step AND step.job_id = live.id AND step.generation = :generation
        AND (step.status = 'ready' OR (
            step.status = 'running' AND step.lease_until < now() AND attempt < max_attempts))
    RETURNING step.*
), started AS (
    UPDATE job SET
        event_seq = event_seq + 1, status = 'running', started_at = coalesce(job.started_at, now())
    FROM taken WHERE job.id = taken.job_id
    RETURNING job.event_seq, job.pipeline, job.fingerprint, job.owner_id, job.input, job.parts,
        job.traceparent
), told AS (
    INSERT INTO job_event (job_id, seq, type, data)
    SELECT taken.job_id, started.event_seq, 'step.started',
        jsonb_strip_nulls(jsonb_build_object(
            'step', taken.name, 'item', nullif(taken.item_key, ''), 'attempt', taken.attempt))
    FROM taken, started
)
SELECT to_jsonb(started), to_jsonb(taken), (
    SELECT jsonb_object_agg(step.name, step.output) FROM step
    WHERE step.job_id = taken.job_id AND step.position < taken.position AND step.item_key = ''
        AND :needs @> ARRAY[step.name] AND step.status = 'succeeded'
), (
    SELECT step.output -> :items -> taken.item_index FROM step
    WHERE step.job_id = taken.job_id AND step.position < taken.position AND step.item_key = ''
        AND step.name = :over AND step.status = 'succeeded'
)
FROM taken, started
""",
    bindparam("needs", type_=ARRAY(String())),
    bindparam("over", type_=String()),
    bindparam("items", type_=String()),
    bindparam("job", type_=Uuid()),
    bindparam("step", type_=Uuid()),
    bindparam("node", type_=Uuid()),
    bindparam("pid", type_=Integer()),
    bindparam("generation", type_=Integer()),
    bindparam("lease_s", type_=Float()),
    bindparam("idle_s", type_=Float()),
)

# Only where the next position is one step of the same chain, or the job ends: `ahead` decides.
ADVANCE = one_statement(
    f"""
WITH ahead AS MATERIALIZED (
    SELECT id, parts, parts = :position + 1 AS ends FROM job
    WHERE id = :job AND cancel_requested_at IS NULL AND (
        parts = :position + 1 OR EXISTS (
            SELECT FROM step WHERE step.job_id = job.id AND step.position = :position + 1
                AND step.chain = :chain AND step.status = 'pending'
        )
    )
    FOR NO KEY UPDATE
), done AS ({_SUCCEED}), opened AS (
    UPDATE step SET
        published_at = coalesce(step.published_at, now()),
        status = CASE WHEN :take THEN 'running' ELSE 'ready' END,
        epoch = step.epoch + CAST(:take AS int), attempt = step.attempt + CAST(:take AS int),
        node = CASE WHEN :take THEN :node ELSE step.node END,
        pid = CASE WHEN :take THEN :pid ELSE step.pid END,
        lease_until = CASE WHEN :take THEN clock_timestamp() + make_interval(secs => :lease_s) END,
        idle_deadline = CASE WHEN :take THEN clock_timestamp() + make_interval(secs => :idle_s) END,
        started_at = CASE WHEN :take THEN clock_timestamp() END
    FROM done
    WHERE step.job_id = done.job_id AND step.position = :position + 1
        AND step.chain = :chain AND step.status = 'pending'
    RETURNING step.*
), moved AS (
    UPDATE job SET
        event_seq = event_seq + CASE WHEN ahead.ends OR :take THEN 2 ELSE 1 END,
        progress = CASE WHEN ahead.ends THEN 1.0
            ELSE greatest(progress, (:position + 1.0) / ahead.parts) END,
        finished_at = CASE WHEN ahead.ends THEN clock_timestamp() END,
        error = CASE WHEN ahead.ends THEN NULL ELSE error END,
        status = CASE
            WHEN NOT ahead.ends THEN job.status
            WHEN EXISTS (SELECT FROM step WHERE step.job_id = job.id AND step.status = 'failed')
                THEN 'succeeded_degraded'
            ELSE 'succeeded' END
    FROM ahead, done WHERE job.id = ahead.id
    RETURNING job.id, job.event_seq, job.status, ahead.ends
), told AS (
    INSERT INTO job_event (job_id, seq, type, data)
    SELECT moved.id, moved.event_seq - CASE WHEN moved.ends OR :take THEN 1 ELSE 0 END,
        'step.succeeded',
        {_SUCCEEDED}
    FROM moved, done
    UNION ALL
    SELECT moved.id, moved.event_seq, 'job.' || moved.status,
        jsonb_build_object('status', moved.status)
    FROM moved WHERE moved.ends
    UNION ALL
    SELECT moved.id, moved.event_seq, 'step.started',
        jsonb_build_object('step', opened.name, 'attempt', opened.attempt)
    FROM moved, opened WHERE :take
)
SELECT to_jsonb(opened) FROM moved LEFT JOIN opened ON true
""",  # noqa: S608 — the parts are ours
    bindparam("job", type_=Uuid()),
    bindparam("step", type_=Uuid()),
    bindparam("node", type_=Uuid()),
    bindparam("pid", type_=Integer()),
    bindparam("epoch", type_=BigInteger()),
    bindparam("position", type_=Integer()),
    bindparam("chain", type_=Integer()),
    bindparam("take", type_=Boolean()),
    bindparam("output", type_=JSONB()),
    bindparam("lease_s", type_=Float()),
    bindparam("idle_s", type_=Float()),
)

# Only while a sibling is active. That one was when this statement began; it still is if the job has
# not moved until its row was locked, which every end of a sibling does.
ADVANCE_BESIDE = one_statement(
    f"""
WITH ahead AS MATERIALIZED (
    SELECT id, parts FROM job
    WHERE id = :job AND cancel_requested_at IS NULL
        AND event_seq = (SELECT seen.event_seq FROM job AS seen WHERE seen.id = :job)
        AND ({_OTHER_ACTIVE}) IS NOT NULL
    FOR NO KEY UPDATE
), done AS ({_SUCCEED}), moved AS (
    UPDATE job SET
        event_seq = event_seq + 1,
        progress = CASE
            WHEN event_seq > {COUNT_ALWAYS} AND event_seq % {COUNT_EVERY} <> 0 THEN progress
            ELSE (:position + (
                SELECT (1.0 + count(*) FILTER (
                    WHERE status IN ('succeeded', 'failed', 'cancelled'))) / count(*)
                FROM step WHERE job_id = :job AND position = :position
            )) / ahead.parts END
    FROM ahead, done WHERE job.id = ahead.id
    RETURNING job.id, job.event_seq
), told AS (
    INSERT INTO job_event (job_id, seq, type, data)
    SELECT moved.id, moved.event_seq, 'step.succeeded',
        {_SUCCEEDED}
    FROM moved, done
)
SELECT event_seq FROM moved
""",  # noqa: S608 — the conditions are ours
    bindparam("job", type_=Uuid()),
    bindparam("step", type_=Uuid()),
    bindparam("epoch", type_=BigInteger()),
    bindparam("position", type_=Integer()),
    bindparam("output", type_=JSONB()),
)

PROGRESS = one_statement(
    """
WITH mine AS MATERIALIZED (
    SELECT id FROM job WHERE id = :job FOR NO KEY UPDATE
), changed AS (
    UPDATE step SET
        progress = :told,
        idle_deadline = clock_timestamp() + make_interval(secs => :idle_s)
    FROM mine
    WHERE step.id = :step AND step.epoch = :epoch AND step.status = 'running'
    RETURNING step.job_id
), moved AS (
    UPDATE job SET event_seq = event_seq + 1, progress = greatest(progress, :bar)
    FROM changed WHERE job.id = changed.job_id
    RETURNING job.id, job.event_seq, job.cancel_requested_at
), told AS (
    INSERT INTO job_event (job_id, seq, type, data)
    SELECT id, event_seq, 'step.progress', :place || :told FROM moved
)
SELECT cancel_requested_at IS NOT NULL FROM moved
""",
    bindparam("job", type_=Uuid()),
    bindparam("step", type_=Uuid()),
    bindparam("epoch", type_=BigInteger()),
    bindparam("told", type_=JSONB()),
    bindparam("place", type_=JSONB()),
    bindparam("bar", type_=Float()),
    bindparam("idle_s", type_=Float()),
)
