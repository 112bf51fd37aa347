"""Raw text becomes the text we work on: normalised, and divided into chapters."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

from models.markdown import find_marked, without_marks
from models.reading import Chapter

# The markers of Project Gutenberg, in the wordings used since 1991.
_LICENCE_BEFORE = re.compile(
    r"^[ \t]*\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG.*?\*{3}[ \t]*$"
    r"|^\*END[* ]*THE SMALL PRINT.*$",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
_LICENCE_AFTER = re.compile(
    r"^[ \t]*\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|^[ \t]*End of (?:the |this )?Project Gutenberg",
    re.MULTILINE | re.IGNORECASE,
)
_CREDITS = re.compile(
    r"\A\s*(?:Produced by|E-?text prepared by|Transcribed from|This etext was)[^\n]*"
    r"(?:\n[ \t]*\S[^\n]*)*",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\u200b\u2060\ufeff]")

_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_CARDINALS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]
_NUMBER = r"[IVXLC]+|\d{1,3}|(?:the )?(?:" + "|".join(_ORDINALS + _CARDINALS) + r")(?:[- ][a-z]+)?"
_NAMED = re.compile(
    rf"^[ \t_*]*(?P<kind>chapter|letter|stave|canto|scene|volume|vol\.|book|part)\s+"
    rf"(?P<number>{_NUMBER})\b(?P<rest>[^\n]{{0,80}})$",
    re.MULTILINE | re.IGNORECASE,
)
_BARE = re.compile(
    r"^[ \t_*]*(?P<number>[IVXLC]{1,8}|\d{1,3})"
    r"(?P<rest>(?:\.|\b)[ \t]*(?:(?<=[. ])[A-Z][^\n]{0,60})?)$",
    re.MULTILINE,
)
_SOLO = re.compile(
    r"^[ \t_*]*(?P<kind>prologue|epilogue|preface|introduction|foreword|afterword|conclusion"
    r"|postscript)\b\.?[ \t_*]*$",
    re.MULTILINE | re.IGNORECASE,
)
_TITLE_LINE = re.compile(r"(?:\n[ \t]*){1,3}(?P<line>\S[^\n]*)(?=\n[ \t]*\n|\Z)")
_SPEAKS = ('"', "'", "\u201c", "\u2018", "-", "—")
_OUTER = frozenset({"volume", "vol.", "book", "part"})

CONTENTS_GAP_CHARS = 200  # headings closer than this are a table of contents, not chapters
FRONT_MATTER_CHARS = 2_500  # a title page is shorter; more than this before a heading is a text
PIECE_CHARS = 30_000  # about 5,000 words: the unit of work where a book has no headings
TITLE_LINE_CHARS = 60


@dataclass(frozen=True, slots=True)
class _Heading:
    kind: str
    number: str
    title: str
    start: int
    body: int  # where the heading's line ends

    @property
    def outer(self) -> bool:
        return self.kind in _OUTER


def normalise(raw: str) -> str:
    """Return the text with plain line ends, composed characters and no licence around it.

    Of Markdown, the headings stay.
    """
    text = raw.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n")
    text = _CONTROL.sub("", unicodedata.normalize("NFC", text)).replace("\xa0", " ")
    return _cut_licence(without_marks(text)).strip("\n") + "\n"


def _cut_licence(text: str) -> str:
    """Drop what Project Gutenberg puts before and after a book."""
    before = _LICENCE_BEFORE.search(text)
    if before:
        text = text[before.end() :]
    after = _LICENCE_AFTER.search(text)
    if after and after.start() > len(text) // 2:
        text = text[: after.start()]
    return _CREDITS.sub("", text, count=1) if before else text


def find_chapters(text: str) -> list[Chapter]:
    """Divide a normalised text at its headings, or into even pieces where it has none.

    A title page is left out; everything after the first heading belongs to some chapter.
    """
    headings = _headings(text)
    if not headings:
        return _pieces(text, 0, len(text), 0)
    chapters: list[Chapter] = []
    if headings[0].start > FRONT_MATTER_CHARS:
        chapters += _pieces(text, 0, headings[0].start, 0, "Opening")
    ends = [heading.start for heading in headings[1:]] + [len(text)]
    for heading, end in zip(headings, ends, strict=True):
        title, body = _with_title_line(text, heading)
        index = len(chapters)
        chapters.append(Chapter(index=index, title=title, start=heading.start, end=end, body=body))
    return chapters


def count_headings(text: str) -> int:
    """Return how many chapters the headings of a normalised text make."""
    return len(_headings(text))


def _headings(text: str) -> list[_Heading]:
    return _merge_outer(_drop_contents(_find_headings(text), len(text)))


def _find_headings(text: str) -> list[_Heading]:
    marked = find_marked(text)
    if marked:
        top = min(mark.level for mark in marked)
        several = any(mark.level > top for mark in marked)
        return [
            _Heading("part" if several and mark.level == top else "marked", str(n), *mark[1:])
            for n, mark in enumerate(marked)
        ]
    found = [_heading(m, m["kind"].lower()) for m in _NAMED.finditer(text) if _stands_alone(m)]
    found += [_heading(m, m["kind"].lower()) for m in _SOLO.finditer(text) if _stands_alone(m)]
    if not any(not h.outer for h in found):
        found += _bare_numbers(text)
    return sorted(found, key=lambda h: h.start)


def _heading(match: re.Match[str], kind: str) -> _Heading:
    groups = match.groupdict()
    title = " ".join(match.group().strip(" \t_*").split()).rstrip(".")
    return _Heading(kind, (groups.get("number") or "").lower(), title, match.start(), match.end())


def _stands_alone(match: re.Match[str]) -> bool:
    """Say whether a line is a heading, not the middle of a paragraph that begins alike."""
    text, start = match.string, match.start()
    above = text[max(0, start - 80) : start]
    blank_above = not above.strip() or re.search(r"\n[ \t]*\n\Z", above) is not None
    follows_heading = _NAMED.match(above.strip().rsplit("\n", 1)[-1]) is not None
    rest = match.groupdict().get("rest") or ""
    prose = re.match(r"[ \t]*[,a-z]", rest) is not None or rest.rstrip().endswith((",", ";"))
    return (blank_above or follows_heading) and not prose


def _bare_numbers(text: str) -> list[_Heading]:
    """Find lines like "IV" or "12. The Storm" that count up from one."""
    found: list[_Heading] = []
    for match in _BARE.finditer(text):
        value = _value(match["number"])
        due = _value(found[-1].number) + 1 if found else 1
        if _stands_alone(match) and (value == due or (value == 1 and len(found) > 1)):
            found.append(_heading(match, "number"))
    return found if len(found) > 1 else []


def _value(number: str) -> int:
    """Return the value of a Roman or Arabic number."""
    if number.isdigit():
        return int(number)
    digits = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[c] for c in number.lower()]
    return sum(-a if a < b else a for a, b in pairwise([*digits, 0]))


def _drop_contents(headings: list[_Heading], length: int) -> list[_Heading]:
    """Leave out the lines of a table of contents: close together, and repeated further on."""
    kept = []
    for place, heading in enumerate(headings):
        later = {(h.kind, h.number) for h in headings[place + 1 :]}
        end = headings[place + 1].start if place + 1 < len(headings) else length
        listed = end - heading.body < CONTENTS_GAP_CHARS and (heading.kind, heading.number) in later
        if not listed:
            kept.append(heading)
    return kept


def _merge_outer(headings: list[_Heading]) -> list[_Heading]:
    """Join "VOLUME I" with the "CHAPTER I" that directly follows it."""
    merged: list[_Heading] = []
    for heading in headings:
        last = merged[-1] if merged else None
        if last and last.outer and heading.start - last.body < CONTENTS_GAP_CHARS:
            title = f"{last.title}, {heading.title}"
            merged[-1] = _Heading(heading.kind, heading.number, title, last.start, heading.body)
        else:
            merged.append(heading)
    return merged


def _with_title_line(text: str, heading: _Heading) -> tuple[str, int]:
    """Return the heading with the chapter's name, where that stands below, and its end."""
    match = _TITLE_LINE.match(text, heading.body)
    if not match or len(match["line"]) > TITLE_LINE_CHARS:
        return heading.title, heading.body
    line = match["line"].strip(" \t_*>")
    if line[:1] in _SPEAKS or (line.endswith((".", ",", ";", ":")) and not line.isupper()):
        return heading.title, heading.body
    return f"{heading.title}: {line.rstrip('.')}", match.end()


def _pieces(text: str, start: int, end: int, index: int, name: str = "Part") -> list[Chapter]:
    """Divide `text[start:end]` at paragraphs into pieces of about `PIECE_CHARS`."""
    pieces: list[Chapter] = []
    while start < end or not pieces:
        stop = text.find("\n\n", start + PIECE_CHARS, end)
        if stop < 0 or end - stop < PIECE_CHARS // 3:
            stop = end
        number = index + len(pieces)
        title = f"{name} {number + 1}"
        pieces.append(Chapter(index=number, title=title, start=start, end=stop, body=start))
        start = stop
        if stop >= end:
            break
    return pieces
