"""Text files that people bring: which ones we take, and what they say."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from charset_normalizer import from_bytes

from models.errors import Unprocessable

TEXT_SUFFIXES = (".txt", ".md")
_PRINTABLE_SHARE = 0.95  # of the characters; below that the file is no text


class WrongFileType(Unprocessable):
    """Only .txt and .md files can be read."""

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


def check_file_name(name: str) -> None:
    """Raise WrongFileType unless `name` (a file's name, or an address's path) is a text file's."""
    if PurePosixPath(name).suffix.lower() not in TEXT_SUFFIXES:
        raise WrongFileType(name=name[-120:])


def check_file_url(url: str) -> None:
    """Raise WrongFileType unless the *path* of `url` is a text file's; a query does not count."""
    check_file_name(urlsplit(url).path)


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
