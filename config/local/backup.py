"""A backup of a whole platform in one folder: a dump of Postgres, the blobs, and their numbers.

What Redis holds is not part of it: hints and the last hour's tokens, which Postgres has, too. Nor
are secrets: without the `SECRET_KEYS` of then, stored credentials of providers stay sealed.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, ValidationError

from config.blobs import BlobStore, key_of
from config.local.postgres import client_tool

TABLES = """
SELECT schemaname || '.' || tablename, schemaname, tablename FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
PIECE = 1 << 20  # bytes of a blob in memory at once


class BackupFailed(Exception):
    """A backup was not made, or not restored as it was; the message says why."""


class Manifest(BaseModel):
    """What a backup holds, by which it is checked once it is restored."""

    taken_at: datetime
    rows: dict[str, int]  # by table
    blobs: int


def back_up(url: str, store: BlobStore, folder: Path) -> Manifest:
    """Write a backup of a running platform into a new folder. Raises BackupFailed.

    Blobs are copied before the dump and those that are new after it, so that every blob that the
    dump speaks of is there, whatever is stored or pruned meanwhile.
    """
    try:
        (folder / "blobs").mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise BackupFailed(f"{folder} holds a backup already: name another folder.") from None
    folder.chmod(0o700)  # it is everybody's data
    _copy_blobs(store, folder / "blobs")
    with _snapshot(url) as (conn, name):
        rows = _count_rows(conn)
        _run("pg_dump", url, "--format=custom", f"--snapshot={name}", f"--file={_dump(folder)}")
    _copy_blobs(store, folder / "blobs")
    made = Manifest(taken_at=datetime.now(UTC), rows=rows, blobs=len(_files(folder)))
    (folder / "manifest.json").write_text(made.model_dump_json(indent=2))  # last: it is whole now
    return made


def restore(url: str, store: BlobStore, folder: Path) -> Manifest:
    """Bring a backup into an empty database, and verify it. Raises BackupFailed.

    Checked: the rows of every table, and the bytes of every blob that a row claims.
    """
    try:
        made = Manifest.model_validate_json((folder / "manifest.json").read_text())
    except (OSError, ValidationError):
        raise BackupFailed(f"{folder} holds no whole backup.") from None
    with psycopg.connect(url) as conn:
        if conn.execute(TABLES).fetchone() is not None:
            raise BackupFailed("The database is not empty: restore into a new one.")
    for file in _files(folder):
        store.put(file.read_bytes())
    _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", _dump(folder))
    verify(url, store, made)
    return made


def verify(url: str, store: BlobStore, made: Manifest) -> None:
    """Compare a database and its blobs with what a backup says. Raises BackupFailed."""
    with psycopg.connect(url) as conn:
        found = _count_rows(conn)
        keys = [key for (key,) in conn.execute("SELECT DISTINCT key FROM blob_ref")]
    wrong = [name for name in made.rows | found if made.rows.get(name) != found.get(name)]
    if wrong:
        raise BackupFailed(f"These tables have other numbers of rows: {', '.join(wrong)}.")
    lost = [key for key in keys if not _is_whole(store, key)]
    if lost:
        raise BackupFailed(f"{len(lost)} blobs are missing or damaged: {', '.join(lost[:5])} …")


def _is_whole(store: BlobStore, key: str) -> bool:
    digest = hashlib.sha256()
    try:
        with store.open(key) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return False
    return key_of(digest.hexdigest()) == key


def _copy_blobs(store: BlobStore, target: Path) -> None:
    for key in sorted(store.keys()):
        place = target / Path(key).name
        if place.exists() or key != key_of(place.name):  # half-written ones are no blobs yet
            continue
        half = target / "partial"
        try:
            with store.open(key) as source, half.open("wb") as file:
                shutil.copyfileobj(source, file, PIECE)
        except FileNotFoundError:
            continue  # pruned meanwhile: nobody had claimed it for a day
        half.rename(place)


def _files(folder: Path) -> list[Path]:
    return [file for file in (folder / "blobs").iterdir() if file.name != "partial"]


def _dump(folder: Path) -> str:
    return str(folder / "postgres.dump")


@contextmanager
def _snapshot(url: str) -> Iterator[tuple[psycopg.Connection, str]]:
    """Yield a connection that sees one moment, and the name by which others see it, too."""
    with psycopg.connect(url) as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield conn, row[0]


def _count_rows(conn: psycopg.Connection) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, schema, table in conn.execute(TABLES).fetchall():
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        (counts[name],) = conn.execute(query).fetchone() or (0,)
    return counts


def _run(tool: str, url: str, *options: str) -> None:
    """Run a client of Postgres; the password goes by the environment, where `ps` shows nothing."""
    parts = conninfo_to_dict(url)
    password = str(parts.pop("password", ""))
    target = make_conninfo("", **parts)
    done = subprocess.run(  # noqa: S603 - our own command
        [client_tool(tool), f"--dbname={target}", *options],
        env=os.environ | ({"PGPASSWORD": password} if password else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupFailed(f"{tool} failed: {done.stderr.strip()}")
