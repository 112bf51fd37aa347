"""Blobs in the blob store of the settings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from config.blobs import Blob, BlobStore
from config.db import transaction
from config.settings import settings
from models import blobs
from models.errors import Unavailable
from tasks.refusals import BlobMissing


class StoredBlobs:
    """The blob store, with its file system's errors in the house's words."""

    def __init__(self, store: BlobStore | None = None) -> None:
        """Use `store` (default: the one at `BLOB_URL`)."""
        self._store = store or BlobStore()

    def put(self, data: bytes) -> Blob:
        """Store `data`. Safe to repeat. Raises Unavailable."""
        with _translated():
            return self._store.put(data)

    def get(self, key: str) -> bytes:
        """Return the bytes. Raises BlobMissing, Unavailable."""
        with _translated():
            return self._store.get(key)

    def prune(self, progress: Callable[[int, int, str], None]) -> int:
        """Delete old blobs without a claim on them; return how many. Raises Unavailable."""
        old = timedelta(hours=settings.blob.unreferenced_hours)
        with _translated():
            stored = self._store.keys()
        with transaction() as session:
            unneeded = blobs.unreferenced(session, stored, older_than=old)
        for number, key in enumerate(unneeded, 1):
            with _translated():
                self._store.delete(key, stored_at=stored[key])  # to list many takes long
            progress(number, len(unneeded), "blobs")
        return len(unneeded)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing from error
    except OSError as error:  # a full disk, a share that is away
        raise Unavailable(f"The blob store failed: {error.strerror or error}") from error
