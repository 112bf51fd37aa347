"""One stack per folder: a lock that the kernel frees however its holder ends."""

import fcntl
import os
import time
from pathlib import Path

from pydantic import BaseModel, ValidationError

PROBE_S = 1.0  # somebody who only looks holds the lock for less than a millisecond
POLL_S = 0.02


class Running(BaseModel):
    """The stack that holds a folder."""

    pid: int
    url: str
    flower_url: str
    ready: bool = False


class FolderLock:
    """The lock of one stack's folder, with what others want to know of its holder."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._handle: int | None = None

    def take(self, running: Running) -> bool:
        """Take the lock and keep it, for the stack described; say whether that succeeded."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + PROBE_S
        while not _locked(handle, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(handle)
                return False
            time.sleep(POLL_S)
        self._handle = handle
        self.tell(running)
        return True

    def tell(self, running: Running) -> None:
        """Write how the holder is now; the lock has been taken."""
        assert self._handle is not None
        text = running.model_dump_json().encode()
        os.pwrite(self._handle, text, 0)
        os.ftruncate(self._handle, len(text))

    def drop(self) -> None:
        """Let the lock go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def holder(self) -> Running | None:
        """Return the stack that holds the lock, or None when nobody does."""
        deadline = time.monotonic() + PROBE_S
        while self._held() and time.monotonic() < deadline:
            try:
                return Running.model_validate_json(self.file.read_text())
            except ValidationError:
                time.sleep(POLL_S)  # taken this very moment, and not written yet
        return None

    def _held(self) -> bool:
        try:
            handle = os.open(self.file, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _locked(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
