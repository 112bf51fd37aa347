"""Traces

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("traceparent", sa.String(), nullable=True))
    op.add_column("job", sa.Column("traced_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_job_untold",
        "job",
        ["id"],
        postgresql_where=sa.text(
            "traceparent IS NOT NULL AND traced_at IS NULL AND finished_at IS NOT NULL"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_job_untold", "job")
    op.drop_column("job", "traced_at")
    op.drop_column("job", "traceparent")
