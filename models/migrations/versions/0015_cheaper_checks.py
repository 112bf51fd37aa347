"""One CHECK for a job's status and one for a step's, which cost less to look at

Revision: 0015, after 0014.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ONE = {
    "job": (
        "CASE WHEN finished_at IS NULL "
        "THEN status = ANY ('{queued,running,waiting,cancelling}'::varchar[]) "
        "ELSE status = ANY ('{succeeded,succeeded_degraded,failed,cancelled}'::varchar[]) END"
    ),
    "step": (
        "status = ANY "
        "('{pending,ready,running,waiting,succeeded,failed,cancelled}'::varchar[]) "
        "AND (status = 'running') = (lease_until IS NOT NULL) "
        "AND (status <> 'succeeded' OR output IS NOT NULL)"
    ),
}
BEFORE = {
    "job": {
        "finished_when_terminal": (
            "(finished_at IS NOT NULL) = (status IN "
            "('succeeded', 'succeeded_degraded', 'failed', 'cancelled'))"
        ),
        "status_is_known": (
            "status IN ('queued', 'running', 'waiting', 'cancelling', 'succeeded', "
            "'succeeded_degraded', 'failed', 'cancelled')"
        ),
    },
    "step": {
        "leased_while_running": "(status = 'running') = (lease_until IS NOT NULL)",
        "status_is_known": (
            "status IN ('pending', 'ready', 'running', 'waiting', 'succeeded', 'failed', "
            "'cancelled')"
        ),
        "success_has_output": "status <> 'succeeded' OR output IS NOT NULL",
    },
}


def upgrade() -> None:
    for table, fits in ONE.items():
        op.create_check_constraint(op.f(f"ck_{table}_status_fits"), table, fits)
        for name in BEFORE[table]:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")


def downgrade() -> None:
    for table, checks in BEFORE.items():
        for name, holds in checks.items():
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, holds)
        op.drop_constraint(op.f(f"ck_{table}_status_fits"), table, type_="check")
