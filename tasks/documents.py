"""The tool that reads what is no plain text. `tasks.tools` lists it with the others."""

from collections.abc import Callable
from typing import Protocol

from models.documents import Document
from models.files import FileFormat


class Documents(Protocol):
    """Reads the text and the sections of files: plain text, EPUB, PDF."""

    def read(
        self,
        data: bytes,
        file_format: FileFormat,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Document:
        """Return what the file says. `progress(done, total)` counts its pages or parts.

        Raises EmptyFile, NotText, DocumentBroken, DocumentProtected, DocumentTooLarge,
        DocumentWithoutText; all of them are final.
        """
        ...
