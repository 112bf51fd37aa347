"""A chapter cut into paragraphs, words and direct speech, as parallel lists."""

import re
from dataclasses import dataclass, field

from models.reading import Chapter, QuoteStyle

from .quotes import Span, find_spans

TOKEN = re.compile(
    r"(?:Mr|Mrs|Ms|Dr|St|Mme|Mlle|Messrs|Col|Capt|Gen|Rev|Prof|Hon|Lt|Lieut|Sgt|Jr|Sr|Esq)\.(?!\w)"
    r"|[A-Z]\.(?=\s?[A-Z])"
    r"|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"
    r"|\d+|--+|\.\.+|[^\w\s]"
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n\s*")
_LINE = re.compile(r"[^\n]+")
# Where paragraphs are longer than this on average, the text has one line per paragraph.
LONG_PARAGRAPH_CHARS = 3_000
_ENDS_SENTENCE = frozenset('.!?:;"\u201c\u201d\u2018—')


@dataclass(slots=True)
class Page:
    """Words and their circumstances; item i of each list belongs to word i.

    `initial` says that a word opens a sentence, `quote` which direct speech it is in (-1: none),
    `para` its paragraph. Paragraph p has the words `bounds[p][0]` to `bounds[p][1]` (exclusive) and
    the speeches `speeches[p]`; `goes_on[p]` says that it continues the speech before it.
    """

    word: list[str] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    initial: list[bool] = field(default_factory=list)
    quote: list[int] = field(default_factory=list)
    para: list[int] = field(default_factory=list)
    bounds: list[tuple[int, int]] = field(default_factory=list)
    speeches: list[list[int]] = field(default_factory=list)
    goes_on: list[bool] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self.word)

    def end(self, i: int) -> int:
        """Return where word `i` ends."""
        return self.start[i] + len(self.word[i])


def read_page(text: str, chapter: Chapter, style: QuoteStyle) -> Page:
    """Cut one chapter up. Offsets stay those of the whole text."""
    page = Page()
    unclosed = False
    for start, end in _paragraphs(text, chapter.body, chapter.end):
        spans = find_spans(text, start, end, style)
        first = len(page.spans)
        page.spans.extend(spans)
        page.speeches.append(list(range(first, len(page.spans))))
        page.goes_on.append(unclosed and bool(spans) and spans[0].start - start <= 2)
        unclosed = bool(spans) and not spans[-1].closed
        _add_words(page, text, start, end, first)
    return page


def _paragraphs(text: str, start: int, end: int) -> list[tuple[int, int]]:
    found, place = [], start
    for gap in _BLANK_LINE.finditer(text, start, end):
        if gap.start() > place:
            found.append((place, gap.start()))
        place = gap.end()
    if place < end:
        found.append((place, end))
    if len(found) < (end - start) / LONG_PARAGRAPH_CHARS:
        return [(m.start(), m.end()) for m in _LINE.finditer(text, start, end)]
    return found


def _add_words(page: Page, text: str, start: int, end: int, first_span: int) -> None:
    begin, para = len(page.word), len(page.bounds)
    found = [(m.group(), m.start()) for m in TOKEN.finditer(text, start, end)]
    words = [word for word, _ in found]
    places = [place for _, place in found]
    page.word += words
    page.start += places
    page.low += [word.lower().replace("\u2019", "'") for word in words]
    page.para += [para] * len(words)
    page.initial += _initials(words)
    page.quote += _quotes(page.spans, places, first_span)
    page.bounds.append((begin, len(page.word)))


def _initials(words: list[str]) -> list[bool]:
    """Say of each word of a paragraph whether it opens a sentence."""
    found, initial = [], True
    for word in words:
        first = word[0]
        if first.isalnum():
            found.append(initial)
            initial = False
        else:
            found.append(False)
            if first in _ENDS_SENTENCE or word[:2] == "--":
                initial = True
    return found


def _quotes(spans: list[Span], places: list[int], first: int) -> list[int]:
    """Return which direct speech each word of a paragraph is in."""
    if first == len(spans):
        return [-1] * len(places)
    found, number = [], first
    for place in places:
        while number < len(spans) and place >= spans[number].end:
            number += 1
        inside = number < len(spans) and place >= spans[number].start
        found.append(number if inside else -1)
    return found
