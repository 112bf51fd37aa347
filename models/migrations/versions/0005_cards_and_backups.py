"""File formats of books, and files of personas

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "book", sa.Column("file_format", sa.String(), server_default="text", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_book_file_format_is_known"), "book", "file_format IN ('text', 'epub', 'pdf')"
    )
    op.add_column("character", sa.Column("prompt_blob", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("character", "prompt_blob")
    op.drop_constraint(op.f("ck_book_file_format_is_known"), "book", type_="check")
    op.drop_column("book", "file_format")
