"""Blobs in the blob store of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from config.blobs import Blob, BlobStore
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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing from error
    except OSError as error:  # a full disk, a share that is away
        raise Unavailable(f"The blob store failed: {error.strerror or error}") from error
