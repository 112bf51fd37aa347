"""Costs

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# To look at three budgets, add to three sums and write a call down, or do nothing of it, takes
# several statements that see one another. As a function they are one round trip.
RESERVE = """
CREATE FUNCTION longrun_reserve(
    call jsonb, daily_cap bigint, monthly_cap bigint, refuse_unknown boolean
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    new model_call := jsonb_populate_record(NULL::model_call, call);
    day text := to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD');
    month text := left(day, 7);
    own budget;
    job_cap bigint;
    refused jsonb;
BEGIN
    SELECT * INTO own FROM budget WHERE owner_id = new.owner_id;
    IF FOUND THEN
        daily_cap := own.daily_usd * 1000000;
        monthly_cap := own.monthly_usd * 1000000;
    END IF;
    INSERT INTO job_spending (job_id) VALUES (new.job_id) ON CONFLICT DO NOTHING;
    SELECT cap_microusd INTO job_cap FROM job_spending WHERE job_id = new.job_id FOR UPDATE;
    INSERT INTO owner_spending (owner_id, period)
    VALUES (new.owner_id, month), (new.owner_id, day) ON CONFLICT DO NOTHING;
    PERFORM FROM owner_spending WHERE owner_id = new.owner_id AND period IN (month, day)
    ORDER BY owner_id, period FOR UPDATE;

    IF new.reserved_microusd IS NULL AND refuse_unknown
        AND coalesce(job_cap, daily_cap, monthly_cap) IS NOT NULL THEN
        RETURN jsonb_build_object('budget', 'unknown');
    ELSIF new.reserved_microusd > 0 THEN
        SELECT jsonb_build_object('budget', name, 'spent_microusd', spent, 'cap_microusd', cap)
        INTO refused FROM (
            SELECT 1 AS place, 'job' AS name, spent_microusd AS spent, job_cap AS cap
            FROM job_spending WHERE job_id = new.job_id
            UNION ALL
            SELECT 2, CASE period WHEN day THEN 'day' ELSE 'month' END, spent_microusd,
                CASE period WHEN day THEN daily_cap ELSE monthly_cap END
            FROM owner_spending WHERE owner_id = new.owner_id AND period IN (month, day)
        ) AS budgets
        WHERE spent + new.reserved_microusd > cap ORDER BY place, name LIMIT 1;
        IF FOUND THEN
            RETURN refused;
        END IF;
        UPDATE job_spending SET spent_microusd = spent_microusd + new.reserved_microusd
        WHERE job_id = new.job_id;
        UPDATE owner_spending SET spent_microusd = spent_microusd + new.reserved_microusd
        WHERE owner_id = new.owner_id AND period IN (month, day);
    END IF;
    INSERT INTO model_call (
        id, job_id, step, item, attempt, epoch, owner_id, model, purpose, at, prompt_tokens,
        completion_tokens, cached_tokens, estimated, reserved_microusd, cost_microusd, counted
    ) VALUES (
        new.id, new.job_id, new.step, new.item, new.attempt, new.epoch, new.owner_id, new.model,
        new.purpose, now(), new.prompt_tokens, new.completion_tokens, 0, true,
        new.reserved_microusd, new.reserved_microusd, false
    );
    RETURN NULL;
END
$$
"""


def _amount(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "model_call",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("reserved_microusd", sa.BigInteger(), nullable=True),
        sa.Column("cost_microusd", sa.BigInteger(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_call")),
    )
    op.create_index(op.f("ix_model_call_job_id"), "model_call", ["job_id"])
    op.create_index(
        "ix_model_call_open", "model_call", ["at"], postgresql_where=sa.text("settled_at IS NULL")
    )
    op.create_index(
        "ix_model_call_uncounted", "model_call", ["model"], postgresql_where=sa.text("NOT counted")
    )
    op.create_table(
        "model_call_daily",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        _amount("calls"),
        _amount("unpriced"),
        _amount("prompt_tokens"),
        _amount("completion_tokens"),
        _amount("cached_tokens"),
        _amount("cost_microusd"),
        sa.PrimaryKeyConstraint("day", "model", "purpose", name=op.f("pk_model_call_daily")),
    )
    op.create_table(
        "job_spending",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        _amount("spent_microusd"),
        sa.Column("cap_microusd", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cap_microusd > 0", name=op.f("ck_job_spending_cap_is_positive")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_job_spending_job_id_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_spending")),
    )
    op.create_table(
        "owner_spending",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        _amount("spent_microusd"),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["user.id"],
            name=op.f("fk_owner_spending_owner_id_user"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("owner_id", "period", name=op.f("pk_owner_spending")),
    )
    op.create_table(
        "budget",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("daily_usd", sa.Numeric(12, 6), nullable=True),
        sa.Column("monthly_usd", sa.Numeric(12, 6), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("daily_usd > 0", name=op.f("ck_budget_daily_is_positive")),
        sa.CheckConstraint("monthly_usd > 0", name=op.f("ck_budget_monthly_is_positive")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user.id"], name=op.f("fk_budget_owner_id_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_budget")),
    )
    op.execute(RESERVE)


def downgrade() -> None:
    op.execute("DROP FUNCTION longrun_reserve(jsonb, bigint, bigint, boolean)")
    for table in ("budget", "owner_spending", "job_spending", "model_call_daily", "model_call"):
        op.drop_table(table)
