"""A backup, restored into an empty database and an empty blob store."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from config.blobs import Blob, BlobStore
from config.db import transaction
from config.local import EmbeddedPostgres
from config.local.backup import BackupFailed, back_up, restore, verify
from models.blobs import hold_blob
from tasks.adapters.vectors import PgVectors
from tasks.tools import Passage
from tests.inline import drain
from tests.pipelines import OWNER, Numbers, fan
from tests.stack import start


@pytest.fixture
def held(owner: None) -> Blob:
    """A platform with a finished job, an index, and a blob that somebody holds."""
    start(fan, Numbers(count=2))
    drain()
    PgVectors().upsert("a_v1", [Passage(id="a", text="a", index=0)], [[1.0, 0.0]])
    blob = BlobStore().put(os.urandom(3000))
    with transaction() as session:
        hold_blob(session, blob, owner=OWNER, purpose="a test")
    return blob


@pytest.fixture
def empty(database_url: str) -> Iterator[str]:
    """The URL of a database without tables."""
    url = make_url(database_url)
    server = url.set(database="postgres").render_as_string(hide_password=False)
    name = f"{url.database}_restored"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')
        yield url.set(database=name).render_as_string(hide_password=False)
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_backup_is_restored_whole(
    held: Blob, database_url: str, empty: str, tmp_path: Path
) -> None:
    target = BlobStore(f"file://{tmp_path}/blobs")

    made = back_up(database_url, BlobStore(), tmp_path / "backup")
    restored = restore(empty, target, tmp_path / "backup")

    assert restored == made
    assert made.rows["public.job"] == 1
    assert made.rows["public.step"] > 4
    assert target.get(held.key) == BlobStore().get(held.key)
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700


def test_a_restored_blob_with_other_bytes_and_rows_that_are_gone_are_found(
    held: Blob, database_url: str, empty: str, tmp_path: Path
) -> None:
    target = BlobStore(f"file://{tmp_path}/blobs")
    made = back_up(database_url, BlobStore(), tmp_path / "backup")
    (tmp_path / "backup" / "blobs" / held.sha256).write_bytes(b"rotten")

    with pytest.raises(BackupFailed, match=held.sha256):
        restore(empty, target, tmp_path / "backup")
    with psycopg.connect(empty) as conn:
        conn.execute("DELETE FROM job_event")
    with pytest.raises(BackupFailed, match="job_event"):
        verify(empty, target, made)


def test_nothing_is_written_over(held: Blob, database_url: str, empty: str, tmp_path: Path) -> None:
    made_before = back_up(database_url, BlobStore(), tmp_path / "backup")

    with pytest.raises(BackupFailed, match="already"):
        back_up(database_url, BlobStore(), tmp_path / "backup")
    with pytest.raises(BackupFailed, match="not empty"):
        restore(database_url, BlobStore(), tmp_path / "backup")
    with pytest.raises(BackupFailed, match="no whole backup"):
        restore(empty, BlobStore(), tmp_path)
    assert made_before.blobs >= 1


def say(*words: str, **environment: str) -> tuple[int, str]:
    """Run a command as operators do: of the local stack, unless an address is given."""
    kept = {name: told for name, told in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "config.local", *words],
        env={name: told for name, told in kept.items() if name != "LOCAL_DIR"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_commands_bring_a_platform_into_a_local_stack(
    held: Blob, database_url: str, tmp_path: Path
) -> None:
    backup, root, blobs = tmp_path / "backup", tmp_path / "root", f"file://{tmp_path}/blobs"
    root.mkdir()
    (root / "Procfile").write_text("web: not started\n")
    embedded = EmbeddedPostgres(root / ".longrun")
    try:
        code, said = say("backup", str(backup), "--root", str(root))
        assert (code, said.count("\n"), "make up" in said) == (1, 1, True)
        assert say("backup", str(backup), DATABASE_URL=database_url)[0] == 0

        code, said = say("restore", str(backup), "--root", str(root), BLOB_URL=blobs)

        assert (code, said.startswith("restore: ")) == (0, True), said
        assert not embedded.strays()
        assert BlobStore(blobs).exists(held.key)
        again = say("restore", str(backup), "--root", str(root), BLOB_URL=blobs)
        assert again == (1, "The database is not empty: restore into a new one.\n")
    finally:
        embedded.remove()
