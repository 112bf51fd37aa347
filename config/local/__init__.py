"""The embedded stack: Postgres, Valkey and the Procfile's processes, on a machine with only Python.

Nothing here runs where `DATABASE_URL` and `REDIS_URL` are set, except the supervisor itself.
"""

from config.local.postgres import EmbeddedPostgres
from config.local.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedValkey"]
