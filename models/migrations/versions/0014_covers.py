"""Covers

Revision: 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("book", sa.Column("cover_blob", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("book", "cover_blob")
