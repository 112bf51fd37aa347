"""Files of every format that books come in."""

from collections.abc import Callable
from importlib import import_module

from models.documents import Document
from models.files import DocumentWithoutText, FileFormat, check_content, decode

# Imported when the first such file comes: most stacks read plain text only.
READERS = {
    FileFormat.EPUB: "tasks.adapters.epub",
    FileFormat.PDF: "tasks.adapters.pdf",
}
MIN_LETTERS = 20  # less is no text; a picture of a page may still carry its number


class DocumentReader:
    """Reads each format with its own reader: `read(data, progress)` of the modules above."""

    def read(
        self,
        data: bytes,
        file_format: FileFormat,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Document:
        """Return what the file says. `progress(done, total)` counts its pages or parts.

        Raises EmptyFile, NotText, DocumentBroken, DocumentProtected, DocumentTooLarge,
        DocumentWithoutText.
        """
        if file_format is FileFormat.TEXT:
            return Document(text=decode(data))
        check_content(data, file_format)
        found: Document = import_module(READERS[file_format]).read(data, progress)
        if sum(char.isalpha() for char in found.text[:100_000]) < MIN_LETTERS:
            raise DocumentWithoutText()
        return found
