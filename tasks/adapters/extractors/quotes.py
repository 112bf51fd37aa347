"""Direct speech: which marks a book uses for it, and where it stands in a paragraph."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from models.reading import QuoteStyle

from .lexicon import lexicon

_OPENING_SINGLE = re.compile(r"(?:^|[\s(—-])[\u2018'](?=[A-Z])")
_DASH_TURN = re.compile(r"^[ \t]*(?:--|—|―)\s?\S", re.MULTILINE)
_DOUBLE_MARKS = re.compile('["\u201c\u201d]')
_SINGLE_MARKS = re.compile("['\u2018\u2019]")
_WORD = re.compile(r"[^\W\d_]+")
# A title or a word held at arm's length is this short, and has no stop inside its marks.
SCARE_WORDS = 6


class Span(NamedTuple):
    """Direct speech with its marks. `closed` is False where the speech goes on in the next
    paragraph (or its closing mark is missing)."""

    start: int
    end: int
    closed: bool


@lru_cache(maxsize=4)
def quote_style(text: str) -> QuoteStyle:
    """Return the marks most dialogue of a text stands in."""
    double = text.count("\u201c") + text.count('"') / 2
    single = len(_OPENING_SINGLE.findall(text))
    dash = len(_DASH_TURN.findall(text))
    if dash > 2 * (double + single) and dash > 5:
        return "dash"
    if not double and not single:
        return "none"
    return "double" if double >= single * 0.5 else "single"


def find_spans(text: str, start: int, end: int, style: QuoteStyle) -> list[Span]:
    """Return the direct speech of the paragraph `text[start:end]`, in order."""
    if style == "double":
        return [s for s in _double(text, start, end) if not _is_scare(text, s, start, end)]
    if style == "single":
        return [s for s in _single(text, start, end) if not _is_scare(text, s, start, end)]
    return list(_dashed(text, start, end)) if style == "dash" else []


def _double(text: str, start: int, end: int) -> Iterator[Span]:
    opened: int | None = None
    for match in _DOUBLE_MARKS.finditer(text, start, end):
        place, mark = match.start(), match.group()
        if opened is None:
            if mark != "\u201d":
                opened = place
        elif mark == "\u201c":  # the one before was never closed
            yield Span(opened, place, False)
            opened = place
        else:
            yield Span(opened, place + 1, True)
            opened = None
    if opened is not None:
        yield Span(opened, end, False)


def _single(text: str, start: int, end: int) -> Iterator[Span]:
    opened: int | None = None
    for match in _SINGLE_MARKS.finditer(text, start, end):
        place, mark = match.start(), match.group()
        before = text[place - 1] if place > start else " "
        after = text[place + 1] if place + 1 < end else " "
        if opened is None:
            if mark != "\u2019" and (before.isspace() or before in "(—-_") and not after.isspace():
                opened = place
        elif mark != "\u2018" and before in ".,!?—-…;:_)" and not after.isalpha():
            yield Span(opened, place + 1, True)
            opened = None
    if opened is not None:
        yield Span(opened, end, False)


_DASH_OPEN = re.compile(r"\s*(?:--|—|―)\s?")
_SENTENCE_END = re.compile(r"[.!?…](?=\s|$)")


def _dashed(text: str, start: int, end: int) -> Iterator[Span]:
    """Find speech opened by a dash at the start of a paragraph, around "said he"."""
    opening = _DASH_OPEN.match(text, start, end)
    if not opening:
        return
    place, begin = opening.end(), start
    for tag in _tags(text, place, end):
        yield Span(begin, tag[0], True)
        begin = tag[1]
    if text[begin:end].strip():
        yield Span(begin, end, True)


_TAG = re.compile(r"(?<=[,!?.])\s(?P<verb>[a-z]+)\b(?P<rest>[^.!?,;:]*)(?P<stop>[,.;:!?]|$)")
_TAG_INVERTED = re.compile(
    r"(?<=[,!?])\s(?:[a-z]+ )?(?:he|she|they|I|[A-Z]\w+)(?: [A-Z]\w+)? (?P<verb>[a-z]+)\b"
    r"(?P<rest>[^.!?,;:]*)(?P<stop>[,.;:!?]|$)"
)


def _tags(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the reporting clauses inside dash speech, each with its stop."""
    strong = lexicon().of("speech", "strong")
    found = []
    for pattern in (_TAG, _TAG_INVERTED):
        for match in pattern.finditer(text, start, end):
            if match["verb"] in strong:
                found.append((match.start(), match.end()))
                break
    return sorted(found)[:1]


def _is_scare(text: str, span: Span, start: int, end: int) -> bool:
    """Say whether marks hold a title or a doubtful word, not speech.

    Such a stretch is short, stands in the middle of a sentence that neither leads up to speech nor
    reports it, and begins with a small letter or has no stop before its closing mark.
    """
    inner = text[span.start + 1 : span.end - 1].strip("_ ")
    if not span.closed or not inner or len(inner.split()) > SCARE_WORDS:
        return False
    if inner[-1] in ".,!?;:-—…" and not (inner[0].islower() and inner[-1] in ".,"):
        return False
    before = text[start : span.start].rstrip(" \n_(")
    if not before or before[-1] in ",:-—.!?;\"'\u201d\u2019":
        return False
    verbs = lexicon().of("speech", "strong")
    after = _WORD.match(text[span.end : end].lstrip(" \n,")[:20])
    last = before.rsplit(None, 1)[-1]
    leads = last.lower() in verbs or last[0].isupper()
    return not leads and not (after and after.group() in verbs)
