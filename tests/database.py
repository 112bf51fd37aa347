"""The test session's database: made from a template, and emptied rather than made anew.

Nothing has to be copied and read in again then. A test that has changed the schema leaves it to the
next one to make the database anew.
"""

from typing import LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import make_url

STRAYS_MS = 5000  # for a connection that a test has left behind to end

FINGERPRINT = """
SELECT md5(concat(
    (SELECT string_agg(concat_ws(' ', c.relname, a.attnum, a.attname, a.atttypid, a.attnotnull,
        a.attisdropped), ',' ORDER BY c.relname, a.attnum)
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0),
    (SELECT string_agg(conname, ',' ORDER BY conname, conrelid) FROM pg_constraint),
    (SELECT string_agg(tgname, ',' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal),
    (SELECT string_agg(prosrc, ',' ORDER BY proname, prosrc) FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace)
))
"""
STRAYS = """
SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
LARGE = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND pg_total_relation_size(oid) > 1024 * 1024
"""


class TestDatabase:
    """The database that `DATABASE_URL` names, on a server that may make databases."""

    __test__ = False

    def __init__(self, server_url: str, name: str) -> None:
        self.server_url = server_url
        self.name = name
        self.template = f"{name}_template"
        self.url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        self._tables: list[str] = []
        self._rows: dict[str, bytes] = {}  # that the migrations have put in, as COPY writes them
        self._fingerprint = ""

    def create(self) -> None:
        """Make the empty database that is to be migrated and kept."""
        self.execute(f"CREATE DATABASE {self.name}")

    def keep(self) -> None:
        """Make a template of the database as it is now."""
        with psycopg.connect(self.url) as conn:
            self._tables = [str(row[0]) for row in conn.execute(TABLES)]
            self._fingerprint = _one(conn, FINGERPRINT)
            for table in self._tables:
                with conn.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(_named(table))) as copy:
                    if rows := b"".join(bytes(one) for one in copy):
                        self._rows[table] = rows
        self.execute(f"ALTER DATABASE {self.name} RENAME TO {self.template}")

    def renew(self) -> None:
        """Bring the database back to what the template is."""
        try:
            if self._emptied():
                return
        except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
            pass  # it is not there, or the server lets nobody switch triggers off
        self.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.execute(f"CREATE DATABASE {self.name} TEMPLATE {self.template}")

    def drop(self) -> None:
        """Delete it and its template."""
        for name in (self.name, self.template):
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement on the server."""
        with psycopg.connect(self.server_url, autocommit=True) as conn:
            conn.execute(sql.SQL(statement))

    def _emptied(self) -> bool:
        """Delete all rows but the template's; False where the schema is not the template's."""
        with psycopg.connect(self.url) as conn:
            conn.execute(STRAYS, (STRAYS_MS,))
            for table in {str(row[0]) for row in conn.execute(TABLES)} - set(self._tables):
                conn.execute(sql.SQL("DROP TABLE {} CASCADE").format(_named(table)))
            if _one(conn, FINGERPRINT) != self._fingerprint:
                return False
            conn.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
            for row in conn.execute(LARGE).fetchall():  # dead rows would be in everybody's way
                conn.execute(sql.SQL("TRUNCATE {} CASCADE").format(_named(str(row[0]))))
            delete = sql.SQL("DELETE FROM {}")
            conn.execute(sql.SQL("; ").join(delete.format(_named(one)) for one in self._tables))
            for table, rows in self._rows.items():
                fill = sql.SQL("COPY {} FROM STDIN").format(_named(table))
                with conn.cursor().copy(fill) as copy:
                    copy.write(rows)
        return True


def _named(table: str) -> sql.Identifier:
    return sql.Identifier("public", table)


def _one(conn: psycopg.Connection[tuple[object, ...]], query: LiteralString) -> str:
    row = conn.execute(query).fetchone()
    assert row is not None
    return str(row[0])
