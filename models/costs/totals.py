"""Sums over all paid calls that never fall: what was settled goes into a row per day, once."""

from typing import Any

from sqlalchemy import Connection

from models.base import one_statement

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

_figures = one_statement(
    """
SELECT model, purpose, sum(calls) AS calls, sum(unpriced) AS unpriced,
    sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
    sum(cached_tokens) AS cached_tokens, sum(cost_microusd) AS cost_microusd
FROM (
    SELECT model, purpose, calls, unpriced, prompt_tokens, completion_tokens, cached_tokens,
        cost_microusd
    FROM model_call_daily
    UNION ALL
    SELECT model, purpose, 1, CAST(cost_microusd IS NULL AS int), prompt_tokens,
        completion_tokens, cached_tokens, coalesce(cost_microusd, 0)
    FROM model_call WHERE NOT counted AND settled_at IS NOT NULL
) AS known
GROUP BY model, purpose ORDER BY model, purpose
"""
)


def count_settled(conn: Connection) -> int:
    """Add what was settled since the last time to the daily totals; return how many rows of them.

    Exactly once, together with the mark on the calls."""
    return conn.execute(_count_settled).rowcount


def call_figures(conn: Connection) -> list[Any]:
    """Return (model, purpose, calls, unpriced, prompt_tokens, completion_tokens, cached_tokens,
    cost_microusd) of all that was ever settled."""
    return list(conn.execute(_figures))
