"""Files that people bring: which ones we take, and what text files say."""

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from charset_normalizer import from_bytes

from models.errors import Unprocessable

TEXT_SUFFIXES = (".txt", ".md")
_PRINTABLE_SHARE = 0.95  # of the characters; below that the file is no text
_PDF_HEADER_BYTES = 1024  # readers accept other bytes before %PDF within these
_NAME_CHARS = 80  # of a file name that we make: far below every file system's limit


class FileFormat(StrEnum):
    """How a file holds its text."""

    TEXT = "text"
    EPUB = "epub"
    PDF = "pdf"


_FORMATS = {".epub": FileFormat.EPUB, ".pdf": FileFormat.PDF}


class WrongFileType(Unprocessable):
    """Files of this type cannot be read."""

    code = "wrong_file_type"


class EmptyFile(Unprocessable):
    """The file is empty."""

    code = "empty_file"


class FileTooLarge(Unprocessable):
    """The file is too large."""

    code = "file_too_large"


class NotText(Unprocessable):
    """The file is not text, or its encoding cannot be told."""

    code = "not_text"


class DocumentBroken(Unprocessable):
    """The file is damaged, or not what its name says."""

    code = "document_broken"


class DocumentProtected(Unprocessable):
    """The file is encrypted or under copy protection; bring one that is not."""

    code = "document_protected"


class DocumentTooLarge(Unprocessable):
    """The file unpacks to more than any book."""

    code = "document_too_large"


class DocumentWithoutText(Unprocessable):
    """The file holds pictures of pages, but no text."""

    code = "document_without_text"


def format_of(name: str, suffixes: Sequence[str] = TEXT_SUFFIXES) -> FileFormat:
    """Return the format of a file by its name, or an address's path.

    Raises WrongFileType unless it ends in one of `suffixes`.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in suffixes:
        allowed = " and ".join(filter(None, [", ".join(suffixes[:-1]), suffixes[-1]]))
        raise WrongFileType(f"Only {allowed} files can be read.", name=name[-120:])
    return _FORMATS.get(suffix, FileFormat.TEXT)


def format_of_url(url: str, suffixes: Sequence[str] = TEXT_SUFFIXES) -> FileFormat:
    """Return the format by the *path* of `url`; a query does not count. Raises WrongFileType."""
    return format_of(urlsplit(url).path, suffixes)


def check_content(data: bytes, file_format: FileFormat) -> None:
    """Look whether a file can be what its name says. Raises EmptyFile, NotText, DocumentBroken."""
    if file_format is FileFormat.TEXT:
        decode(data)
        return
    if not data.strip():
        raise EmptyFile()
    pdf, epub = b"%PDF-" in data[:_PDF_HEADER_BYTES], data.startswith(b"PK\x03\x04")
    if not (pdf if file_format is FileFormat.PDF else epub):
        raise DocumentBroken(f"The file is no {file_format.upper()}.")


def decode(data: bytes) -> str:
    """Return the text of a file, its encoding detected. Raises EmptyFile, NotText."""
    if not data.strip():
        raise EmptyFile()
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NotText("The file is binary.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        best = from_bytes(data).best()
        if best is None:
            raise NotText() from None
        text = str(best)
    shown = sum(char.isprintable() or char in "\n\r\t\f" for char in text[:100_000])
    if shown < _PRINTABLE_SHARE * min(len(text), 100_000):
        raise NotText("The file is binary.")
    if not text.strip():
        raise EmptyFile()
    return text


def safe_name(name: str) -> str:
    """Return a file name of plain letters, digits and `_` for whatever somebody is called."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_NAME_CHARS] or "character"
