"""A document with marks for its chapters becomes the text we work on, with chapters."""

import re
from itertools import pairwise

from pydantic import BaseModel

from models.reading import Chapter
from models.text import FRONT_MATTER_CHARS, count_headings, find_chapters, normalise

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: no text has a meaning for them
_PLACE = re.compile(rf"\n*{_OPEN}(\d+){_CLOSE}\n*")
_APPENDED = re.compile(
    r"cover|half.?title|title.?page|copyright|imprint|(?:table of )?contents|dedication|epigraph"
    r"|acknowledge?ments?|about the .*|also by .*|other books .*|praise for .*|colophon|index"
    r"|(?:list of )?illustrations|transcriber.s notes?|(?:foot|end)?notes"
    r"|.*project gutenberg.*licen[cs]e.*",
    re.IGNORECASE,
)
_PAGE_CHARS = 200  # a section that holds less is a title page, or the name of a part


class Mark(BaseModel):
    """Where a document says that a section begins. `level` counts from 1, the outermost."""

    title: str
    at: int
    level: int = 1


class Document(BaseModel):
    """What a file says: paragraphs between blank lines, and the sections it names, in order."""

    text: str
    marks: list[Mark] = []


class _Section(BaseModel):
    title: str
    level: int
    start: int
    end: int

    @property
    def short(self) -> bool:
        return self.end - self.start < _PAGE_CHARS + len(self.title)


def stage(document: Document) -> tuple[str, list[Chapter]]:
    """Return the normalised text and its chapters.

    They are the document's own sections, without title pages and appendices, unless the headings
    in its text make more.
    """
    text, sections = _sections(document)
    own = _chapters(text, sections)
    if len(own) < max(2, count_headings(text)):
        return text, find_chapters(text)
    return text, own


def _sections(document: Document) -> tuple[str, list[_Section]]:
    """Normalise the text with the marks in it, so that they move along; return both."""
    raw = document.text.translate({ord(_OPEN): None, ord(_CLOSE): None})
    cuts = [0, *(mark.at for mark in document.marks), len(raw)]
    pieces = [raw[start:end] for start, end in pairwise(cuts)]
    marked = pieces[0] + "".join(
        f"\n\n{_OPEN}{number}{_CLOSE}\n\n{piece}" for number, piece in enumerate(pieces[1:])
    )
    found = _PLACE.split(normalise(marked))
    text, places = found[0].strip("\n"), []
    for number, piece in zip(found[1::2], found[2::2], strict=True):
        text += "\n\n" if text and not text.endswith("\n\n") else ""
        places.append((document.marks[int(number)], len(text)))
        text += piece.strip("\n")
    text += "\n"
    ends = [*(start for _, start in places[1:]), len(text)][: len(places)]
    return text, [
        _Section(title=" ".join(mark.title.split()), level=mark.level, start=start, end=end)
        for (mark, start), end in zip(places, ends, strict=True)
    ]


def _chapters(text: str, sections: list[_Section]) -> list[Chapter]:
    kept = [
        one
        for one in _merge_parts(sections)
        if one.start < one.end and not _APPENDED.fullmatch(one.title)
    ]
    while len(kept) > 1 and kept[0].short:
        kept = kept[1:]
    if sections and sections[0].start > FRONT_MATTER_CHARS:
        kept = [_Section(title="Opening", level=1, start=0, end=sections[0].start), *kept]
    return [
        Chapter(index=index, title=one.title, start=one.start, end=one.end, body=_body(text, one))
        for index, one in enumerate(kept)
    ]


def _merge_parts(sections: list[_Section]) -> list[_Section]:
    """Join "Part One", which holds nothing itself, with the first section inside of it."""
    merged: list[_Section] = []
    for one in sections:
        last = merged[-1] if merged else None
        if last and last.short and last.level < one.level and not _APPENDED.fullmatch(last.title):
            title = f"{last.title}, {one.title}"
            merged[-1] = _Section(title=title, level=one.level, start=last.start, end=one.end)
        else:
            merged.append(one)
    return merged


def _body(text: str, section: _Section) -> int:
    """Return where the prose begins: after the lines that repeat the section's title."""
    wanted, at = _letters(section.title), section.start
    while at < section.end:
        stop = text.find("\n\n", at, section.end)
        line = _letters(text[at : section.end if stop < 0 else stop])
        if stop < 0 or not line or line not in wanted:
            return at
        at = stop + 2
    return section.start


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
