"""Which steps of a fan-out are active, without a look at those that have ended

Revision: 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_step_active",
        "step",
        ["job_id", "position", "item_index"],
        unique=False,
        postgresql_where=sa.text("chain IS NULL AND status = ANY ('{ready,running}'::varchar[])"),
    )


def downgrade() -> None:
    op.drop_index("ix_step_active", table_name="step")
