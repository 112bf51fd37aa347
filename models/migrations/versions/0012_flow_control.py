"""Flow control

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Whatever gives a place of a concurrency key back, or asks for one, is an insert of a job or an
# update of its end, by whatever version of us: the dispatcher hears of all of them.
WAKE = (
    """
CREATE FUNCTION longrun_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('longrun_due', NEW.concurrency_key);
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER wake_for_place AFTER INSERT ON job FOR EACH ROW
WHEN (NEW.concurrency_key IS NOT NULL) EXECUTE FUNCTION longrun_wake()
""",
    """
CREATE TRIGGER wake_for_next AFTER UPDATE OF finished_at ON job FOR EACH ROW
WHEN (NEW.concurrency_key IS NOT NULL
    AND (OLD.finished_at IS NULL) <> (NEW.finished_at IS NULL))
EXECUTE FUNCTION longrun_wake()
""",
)


def upgrade() -> None:
    op.create_table(
        "turn",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("queue", "owner_id", "priority", name=op.f("pk_turn")),
    )
    op.add_column("job", sa.Column("concurrency_key", sa.String(), nullable=True))
    op.add_column("job", sa.Column("concurrency_limit", sa.SmallInteger(), nullable=True))
    op.add_column("job", sa.Column("admitted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_job_held",
        "job",
        ["concurrency_key", "priority", "id"],
        unique=False,
        postgresql_where=sa.text(
            "concurrency_key IS NOT NULL AND admitted_at IS NULL AND finished_at IS NULL"
        ),
    )
    op.create_index(
        "ix_job_admitted",
        "job",
        ["concurrency_key"],
        unique=False,
        postgresql_where=sa.text(
            "concurrency_key IS NOT NULL AND admitted_at IS NOT NULL AND finished_at IS NULL"
        ),
    )
    op.add_column(
        "step",
        sa.Column(
            "owner_id",
            sa.Uuid(),
            server_default=sa.text("'00000000-0000-0000-0000-000000000000'"),
            nullable=False,
        ),
    )
    op.add_column(
        "step",
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    # What has ended takes no turns: only the unfinished are told whose they are.
    op.execute(
        "UPDATE step SET owner_id = job.owner_id, created_at = job.created_at "
        "FROM job WHERE job.id = step.job_id AND job.finished_at IS NULL"
    )
    op.create_index(
        "ix_step_turn",
        "step",
        ["queue", "owner_id", "priority", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'ready' AND published_at IS NULL"),
    )
    for statement in WAKE:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER wake_for_next ON job")
    op.execute("DROP TRIGGER wake_for_place ON job")
    op.execute("DROP FUNCTION longrun_wake()")
    op.drop_index("ix_step_turn", table_name="step")
    op.drop_column("step", "created_at")
    op.drop_column("step", "owner_id")
    op.drop_index("ix_job_admitted", table_name="job")
    op.drop_index("ix_job_held", table_name="job")
    op.drop_column("job", "admitted_at")
    op.drop_column("job", "concurrency_limit")
    op.drop_column("job", "concurrency_key")
    op.drop_table("turn")
