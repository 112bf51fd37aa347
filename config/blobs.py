"""The blob store: large bytes, immutable, kept under their sha256."""

import hashlib
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import BinaryIO, cast
from uuid import uuid4

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel

from config.settings import settings


class Blob(BaseModel):
    """Immutable bytes in the blob store, named by their content."""

    key: str
    sha256: str
    size_bytes: int


class BlobStore:
    """Blobs under any fsspec address: a folder, S3, …

    A blob appears under its key whole or not at all. Errors are those of the file system:
    FileNotFoundError for an unknown key, OSError for the rest.
    """

    def __init__(self, url: str = "") -> None:
        """Open the store at `url` (default: `BLOB_URL`)."""
        self._files, root = url_to_fs(url or settings.blob.url)
        self._root = PurePosixPath(root)

    def put(self, data: bytes) -> Blob:
        """Store `data`. Safe to repeat; repeating makes the blob young again for the pruning."""
        digest = hashlib.sha256(data).hexdigest()
        blob = Blob(key=key_of(digest), sha256=digest, size_bytes=len(data))
        half_written, target = self._path(f"partial/{uuid4().hex}"), self._path(blob.key)
        self._files.makedirs(str(PurePosixPath(half_written).parent), exist_ok=True)
        self._files.makedirs(str(PurePosixPath(target).parent), exist_ok=True)
        with self._files.open(half_written, "wb") as file:
            file.write(data)
            if isinstance(self._files, LocalFileSystem):
                file.flush()
                # A row that names this blob survives a power cut, so the blob must, too.
                os.fsync(file.fileno())
        self._files.mv(half_written, target)
        return blob

    def get(self, key: str) -> bytes:
        """Return a blob's bytes."""
        return bytes(self._files.cat_file(self._path(key)))

    def open(self, key: str) -> BinaryIO:
        """Open a blob for reading, for what is too large to hold at once."""
        return cast(BinaryIO, self._files.open(self._path(key), "rb"))

    def exists(self, key: str) -> bool:
        """Say whether a blob is there."""
        return bool(self._files.exists(self._path(key)))

    def delete(self, key: str, *, stored_at: datetime | None = None) -> None:
        """Remove a blob; with `stored_at` only if nobody has stored it again. Safe to repeat."""
        path = self._path(key)
        self._files.invalidate_cache(path)  # of what was listed, as S3's has one
        with suppress(FileNotFoundError):
            if stored_at is None or self._stored_at(path) == stored_at:
                self._files.rm_file(path)

    def keys(self) -> dict[str, datetime]:
        """Return every key and when it was stored, half-written leftovers included."""
        found: dict[str, datetime] = {}
        for path in self._files.find(str(self._root)):
            with suppress(FileNotFoundError):  # it is whole by now, or was deleted
                found[str(PurePosixPath(path).relative_to(self._root))] = self._stored_at(path)
        return found

    def _stored_at(self, path: str) -> datetime:
        at = cast(datetime, self._files.modified(path))
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def _path(self, key: str) -> str:
        if ".." in PurePosixPath(key).parts or key.startswith("/"):
            raise FileNotFoundError(key)
        return str(self._root / key)


def key_of(sha256: str) -> str:
    """Return where a blob lies: two levels of folders, so that none holds too many files."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"
