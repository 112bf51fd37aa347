"""Bring the schema up to date before any process starts."""

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config

from config.db import direct_url, libpq_url

ROOT = Path(__file__).resolve().parents[2]
MIGRATION_LOCK = 7_310_046_511  # an advisory lock's number, used for nothing else


def upgrade() -> None:
    """Run the migrations on `DATABASE_URL`; whoever comes second waits. Safe to repeat."""
    with psycopg.connect(libpq_url(direct_url()), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        if (ROOT / "models" / "migrations" / "env.py").exists():
            command.upgrade(Config(toml_file=ROOT / "pyproject.toml"), "head")
