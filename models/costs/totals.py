"""Sums over all paid calls that never fall: what was settled goes into a row per day, once."""

from typing import Any

from sqlalchemy import Connection, func, text

from models.base import one_statement
from models.costs.tables import model_call, model_call_daily

_SUMS = (
    "calls", "unpriced", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_microusd",
)  # fmt: skip
_count_settled = one_statement(
    """
WITH settled AS (
    UPDATE model_call SET counted = true WHERE NOT counted AND settled_at IS NOT NULL
    RETURNING *
)
INSERT INTO model_call_daily AS daily (
    day, model, purpose, calls, unpriced, prompt_tokens, completion_tokens, cached_tokens,
    cost_microusd
)
SELECT (at AT TIME ZONE 'UTC')::date, model, purpose, count(*),
    count(*) FILTER (WHERE cost_microusd IS NULL), sum(prompt_tokens), sum(completion_tokens),
    sum(cached_tokens), coalesce(sum(cost_microusd), 0)
FROM settled GROUP BY 1, 2, 3
ON CONFLICT (day, model, purpose) DO UPDATE SET
    calls = daily.calls + excluded.calls,
    unpriced = daily.unpriced + excluded.unpriced,
    prompt_tokens = daily.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = daily.completion_tokens + excluded.completion_tokens,
    cached_tokens = daily.cached_tokens + excluded.cached_tokens,
    cost_microusd = daily.cost_microusd + excluded.cost_microusd
"""
)


def count_settled(conn: Connection) -> int:
    """Add what was settled since the last time to the daily totals; return how many rows of them.

    Exactly once, together with the mark on the calls."""
    return conn.execute(_count_settled).rowcount


def call_figures(conn: Connection) -> list[Any]:
    """Return (model, purpose, calls, unpriced, prompt_tokens, …, cost_microusd) of all that ever
    were settled."""
    past = model_call_daily.select().with_only_columns(
        *(model_call_daily.c[name] for name in ("model", "purpose", *_SUMS))
    )
    live = (
        model_call.select()
        .with_only_columns(
            model_call.c.model, model_call.c.purpose, text("1"),
            (model_call.c.cost_microusd.is_(None)).cast(model_call.c.attempt.type),
            model_call.c.prompt_tokens, model_call.c.completion_tokens, model_call.c.cached_tokens,
            func.coalesce(model_call.c.cost_microusd, 0),
        )
        .where(~model_call.c.counted, model_call.c.settled_at.is_not(None))
    )  # fmt: skip
    both = past.union_all(live).subquery()
    sums = [func.sum(both.c[name]).label(name) for name in _SUMS]
    query = both.select().with_only_columns(both.c.model, both.c.purpose, *sums)
    return list(conn.execute(query.group_by(both.c.model, both.c.purpose)))
