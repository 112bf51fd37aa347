"""PDF, by pypdf: pages as printed become paragraphs, bookmarks become sections."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

from models.documents import Document, Mark
from models.files import (
    DocumentBroken,
    DocumentProtected,
    DocumentTooLarge,
    DocumentWithoutText,
)  # fmt: skip
from models.pages import join_pages

MAX_PAGES = 10_000  # the longest printed novels have some 5,000
MAX_CHARS = 50_000_000  # ten times the longest novel
PAGE_LETTERS = 20  # fewer are a page number, on the picture of a page
TEXT_PAGES_SHARE = 0.1  # of the pages; novels have few pictures, scans nothing else

# "Broken PDF files might cause other exceptions", says pypdf's documentation of its errors.
BREAKS = (
    PyPdfError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError,
    RecursionError, AssertionError, NotImplementedError, EOFError,
)  # fmt: skip


def read(data: bytes, progress: Callable[[int, int], None] | None) -> Document:
    """Return the text of a PDF and its bookmarks; `progress(done, total)` counts pages.

    Raises DocumentBroken, DocumentProtected, DocumentTooLarge, DocumentWithoutText.
    """
    with _translated():
        reader = PdfReader(io.BytesIO(data))
        pages = _pages(reader, progress)
        if sum(map(_has_text, pages)) < TEXT_PAGES_SHARE * len(pages) or not pages:
            raise DocumentWithoutText()
        text, starts = join_pages(pages)
    return Document(text=text, marks=_marks(reader, text, starts))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (FileNotDecryptedError, DependencyError) as error:
        raise DocumentProtected() from error
    except (LimitReachedError, MemoryError) as error:
        raise DocumentTooLarge() from error
    except BREAKS as error:
        raise DocumentBroken() from error


def _pages(reader: PdfReader, progress: Callable[[int, int], None] | None) -> list[str]:
    """Return the pages with spaces and blank lines as printed."""
    total = len(reader.pages)
    if total > MAX_PAGES:
        raise DocumentTooLarge(pages=total, max_pages=MAX_PAGES)
    pages, chars = [], 0
    for page in reader.pages:
        pages.append(page.extract_text(extraction_mode="layout"))
        chars += len(pages[-1])
        if chars > MAX_CHARS:
            raise DocumentTooLarge(max_chars=MAX_CHARS)
        if progress is not None:
            progress(len(pages), total)
    return pages


def _has_text(page: str) -> bool:
    return sum(char.isalpha() for char in page) >= PAGE_LETTERS


def _marks(reader: PdfReader, text: str, starts: list[int]) -> list[Mark]:
    """Return the bookmarks; a book whose bookmarks are broken is read without them."""
    try:
        named = list(_bookmarks(reader, reader.outline, 1))
    except BREAKS:
        return []
    ends = [*starts[1:], len(text)]
    marks = [
        Mark(title=title, level=level, at=_place(text, starts[page], ends[page], title))
        for title, level, page in named
        if 0 <= page < len(starts)
    ]
    return sorted(marks, key=lambda mark: mark.at)


def _bookmarks(reader: PdfReader, items: Any, level: int) -> Iterator[tuple[str, int, int]]:
    """Yield (title, level, page), as they stand in the outline."""
    for item in items:
        if isinstance(item, list):
            yield from _bookmarks(reader, item, level + 1)
            continue
        page = reader.get_destination_page_number(item)
        if page is not None and item.title:
            yield str(item.title), level, page


def _place(text: str, start: int, end: int, title: str) -> int:
    """Return where on its page a title is printed, or the page's beginning."""
    wanted, at = " ".join(title.casefold().split()), start
    for line in text[start:end].splitlines(keepends=True):
        printed = " ".join(line.casefold().split())
        if printed and wanted.startswith(printed) and len(printed) > 1:
            return at
        at += len(line)
    return start
