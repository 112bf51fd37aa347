"""Tables as full as after months: copies of jobs that have run, or wait, made by Postgres itself.

Rows are copied whole, whatever columns they have, so nothing here has to follow the schema.
"""

from uuid import UUID

from sqlalchemy import ARRAY, Connection, Uuid, bindparam, text

from models.base import new_id
from models.jobs.idempotency import request_hash

_COPY_JOB = text(
    """
INSERT INTO job
SELECT made.* FROM unnest(:ids) copy, job,
    LATERAL jsonb_populate_record(job, jsonb_build_object('id', copy, 'public_id', NULL)) made
WHERE job.id = :model
"""
).bindparams(bindparam("ids", type_=ARRAY(Uuid())), bindparam("model", type_=Uuid()))

_COPY_STEPS = text(
    """
INSERT INTO step
SELECT made.* FROM unnest(:jobs, :ids) copy (of_job, own_id), step,
    LATERAL jsonb_populate_record(
        step, jsonb_build_object('id', own_id, 'job_id', of_job)
    ) made
WHERE step.id = :model
"""
).bindparams(
    bindparam("jobs", type_=ARRAY(Uuid())),
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("model", type_=Uuid()),
)

_COPY_LOG = text(
    """
INSERT INTO {table}
SELECT made.* FROM unnest(:ids) copy, {table} line,
    LATERAL jsonb_populate_record(line, jsonb_build_object('job_id', copy)) made
WHERE line.job_id = :model
"""
)
_LOGS = ("job_event", "stream_segment")
_KEYS = text(
    """
INSERT INTO idempotency (owner_id, route, key, request_hash, job_id)
SELECT owner_id, 'crowd', id::text, :said, id FROM job WHERE id = ANY(:ids)
"""
).bindparams(bindparam("ids", type_=ARRAY(Uuid())))


def multiply(conn: Connection, job_id: UUID, times: int) -> list[UUID]:
    """Insert so many copies of a job with its steps and logs, and a key for each; return their ids.

    Ids ascend, as if the jobs had been made one after the other.
    """
    ids = [new_id() for _ in range(times)]
    conn.execute(_COPY_JOB, {"ids": ids, "model": job_id})
    steps = conn.execute(
        text("SELECT id FROM step WHERE job_id = :job ORDER BY position, id"), {"job": job_id}
    )
    for model in steps.scalars().all():
        copies = [new_id() for _ in ids]
        conn.execute(_COPY_STEPS, {"jobs": ids, "ids": copies, "model": model})
    for table in _LOGS:
        copy = text(_COPY_LOG.text.format(table=table)).bindparams(
            bindparam("ids", type_=ARRAY(Uuid())), bindparam("model", type_=Uuid())
        )
        conn.execute(copy, {"ids": ids, "model": job_id})
    conn.execute(_KEYS, {"ids": ids, "said": request_hash("crowd")})
    return ids
