"""Printed pages become running text: paragraphs whole again, page numbers and headers gone."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

INDENT_COLUMNS = 2  # further right than the margin by so much: a new paragraph
REPEATED_PAGES = 3  # the same line at the edge of so many pages is a running header …
REPEATED_SHARE = 0.2  # … if it stands on so many of them; odd and even pages may differ
SPACED_SHARE = 0.8  # of the lines stand alone: that is the spacing of the lines, not paragraphs
EDGE_LINES = 2  # headers and footers stand in the first and last lines of a page

_PAGE_NUMBER = re.compile(r"[\W_]*(?:page\s*)?(?:\d{1,4}|[ivxlc]{1,7})[\W_]*", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_HYPHENATED = re.compile(r"(?<=[a-z])[-\xad]\n(?=[a-z])")
_ENDS_SENTENCE = tuple(".!?:\"'\u201d\u2019)*")


def join_pages(pages: Sequence[str]) -> tuple[str, list[int]]:
    """Return the text of all pages, and where in it each page begins.

    Pages come as printed: one line per line, blank lines where space is left, indentation in
    columns. Paragraphs of the result stand between blank lines.
    """
    rows = _closed([_trimmed(page.split("\n")) for page in pages])
    furniture = _repeated(rows)
    text, starts = "", []
    for lines in rows:
        page = _paragraphs(_without(lines, furniture))
        if page and text:
            text += "\n\n" if text.endswith(_ENDS_SENTENCE) or page[0] == "\n" else "\n"
        starts.append(len(text))
        text += page.lstrip("\n")
    return _dehyphenated(text, starts)


def _trimmed(lines: list[str]) -> list[str]:
    lines = [line.rstrip() for line in lines]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _closed(rows: list[list[str]]) -> list[list[str]]:
    """Take one blank line out of every gap where nearly every line is followed by one."""
    followed = [bool(after) for lines in rows for line, after in pairwise(lines) if line]
    if not followed or followed.count(False) < SPACED_SHARE * len(followed):
        return rows
    return [[line for at, line in enumerate(lines) if line or not lines[at - 1]] for lines in rows]


def _edges(lines: list[str]) -> list[int]:
    """Return where the first and last printed lines stand."""
    printed = [place for place, line in enumerate(lines) if line]
    return sorted({*printed[:EDGE_LINES], *printed[-EDGE_LINES:]})


def _pattern(line: str) -> str:
    return _DIGITS.sub("0", " ".join(line.split()).casefold())


def _repeated(pages: Iterable[list[str]]) -> set[str]:
    """Return the lines that stand at the edges of many pages, with page numbers made alike."""
    rows = [lines for lines in pages if lines]
    seen = Counter(
        pattern for lines in rows for pattern in {_pattern(lines[at]) for at in _edges(lines)}
    )
    least = max(REPEATED_PAGES, REPEATED_SHARE * len(rows))
    return {pattern for pattern, count in seen.items() if count >= least}


def _without(lines: list[str], furniture: set[str]) -> list[str]:
    """Leave out headers, footers and page numbers."""
    edges = _edges(lines)
    outer = {edges[0], edges[-1]} if edges else set()
    dropped = {
        at
        for at in edges
        if _pattern(lines[at]) in furniture or (at in outer and _is_number(lines, at))
    }
    return _trimmed([line for at, line in enumerate(lines) if at not in dropped])


def _is_number(lines: list[str], at: int) -> bool:
    """Say whether a line is the page's number; a chapter's number stands above a text instead."""
    return _PAGE_NUMBER.fullmatch(lines[at]) is not None and (at > 0 or lines[at].strip().isdigit())


def _paragraphs(lines: list[str]) -> str:
    """Put a blank line before each indented line; an indented first line leaves one in front."""
    columns = [len(line) - len(line.lstrip()) for line in lines if line]
    margin = min(columns, default=0)
    told: list[str] = []
    for line in lines:
        begins = len(line) - len(line.lstrip()) >= margin + INDENT_COLUMNS
        told += ["", line.strip()] if line and begins else [line.strip()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(told))


def _dehyphenated(text: str, starts: list[int]) -> tuple[str, list[int]]:
    """Make words whole that a line's end has parted."""
    parted = [match.start() for match in _HYPHENATED.finditer(text)]
    moved = [start - 2 * sum(at < start for at in parted) for start in starts]
    return _HYPHENATED.sub("", text), moved
