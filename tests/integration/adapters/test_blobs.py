import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from config.blobs import BlobStore
from models.errors import Unavailable
from tasks.adapters.blobs import StoredBlobs
from tests.suites.storage import BlobsSuite


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    name = tmp_path.as_posix()
    return BlobStore(f"file://{name}" if request.param == "file" else f"memory:/{name}")


class TestStoredBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self, store: BlobStore) -> StoredBlobs:
        return StoredBlobs(store)


def test_a_blob_lies_under_its_hash(store: BlobStore) -> None:
    blob = store.put(b"text")
    assert blob.key == f"{blob.sha256[:2]}/{blob.sha256[2:4]}/{blob.sha256}"
    assert store.exists(blob.key)


def test_a_blob_can_be_read_in_parts(store: BlobStore) -> None:
    with store.open(store.put(b"one two").key) as file:
        assert (file.read(4), file.read()) == (b"one ", b"two")


def test_storing_leaves_nothing_half_written(store: BlobStore) -> None:
    keys = {store.put(data).key for data in (b"one", b"two", b"one")}
    assert store.keys().keys() == keys


def test_keys_tell_when_they_were_stored(store: BlobStore) -> None:
    key = store.put(b"text").key
    assert abs(store.keys()[key] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_store_without_blobs_has_no_keys(store: BlobStore) -> None:
    assert store.keys() == {}


def test_a_blob_that_was_stored_again_is_young_and_stays(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    again, old = store.put(b"again").key, store.put(b"old").key
    for key in (again, old):
        os.utime(tmp_path / key, (0, 0))
    listed = store.keys()
    store.put(b"again")

    for key in (again, old):
        store.delete(key, stored_at=listed[key])

    assert store.keys().keys() == {again}


def test_what_goes_while_keys_are_listed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlobStore(f"file://{tmp_path}")
    gone, kept = store.put(b"gone").key, store.put(b"kept").key
    find = LocalFileSystem.find

    def find_and_lose(files: LocalFileSystem, root: str) -> Any:
        found = find(files, root)
        (tmp_path / gone).unlink()
        return found

    monkeypatch.setattr(LocalFileSystem, "find", find_and_lose)
    assert store.keys().keys() == {kept}


def test_deleting_twice_is_deleting_once(store: BlobStore) -> None:
    key = store.put(b"text").key
    store.delete(key)
    store.delete(key)
    assert not store.exists(key)


def test_what_was_left_half_written_can_be_pruned(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "leftover").write_bytes(b"half")
    (key,) = store.keys()
    store.delete(key)
    assert store.keys() == {}


def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(b"in the way")
    with pytest.raises(Unavailable):
        StoredBlobs(BlobStore(f"file://{tmp_path}")).put(b"text")
