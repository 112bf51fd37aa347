"""Alembic's way into the schema: the models' metadata and the configured database."""

from alembic import context
from sqlalchemy import create_engine, pool
from sqlmodel import SQLModel

from config.db import direct_url, sqlalchemy_url
from models import (  # noqa: F401 — declare their tables
    accounts,
    blobs,
    counters,
    credentials,
    dining,
    indexes,
    login_brake,
)
from models.books import library, messages, preferences, sessions  # noqa: F401
from models.costs import tables as costs  # noqa: F401
from models.goals import rhythm, voice  # noqa: F401
from models.goals import tables as goals  # noqa: F401
from models.jobs import bookkeeping, tables  # noqa: F401
from models.scenes import users  # noqa: F401
from models.schedules import tables as schedules  # noqa: F401
from models.webhooks import tables as webhooks  # noqa: F401

engine = create_engine(sqlalchemy_url(direct_url()), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
