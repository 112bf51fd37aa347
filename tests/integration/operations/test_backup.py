"""A backup, restored into an empty database and an empty blob store."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from config.blobs import Blob, BlobStore
from config.db import transaction
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
