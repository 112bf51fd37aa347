"""Where in the book something about a character stands. Offsets are of the normalised text."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from models.reading import Chapter, WordRef

PLACES = 3  # of one word: enough to be convinced
PASSAGE_CHARS = 200  # to either side of a word at most, where a sentence does not end

_SENTENCE_ENDS = re.compile(r"[.!?][\"'\u201d\u2019)]*\s+|\n[ \t]*\n")


class Place(BaseModel):
    """A stretch of the text. Chapters count from 0."""

    chapter: int
    start: int
    end: int


class Shown(Place):
    """A place and what it says, on one line."""

    text: str


def words_shown(
    words: Sequence[str], refs: Iterable[WordRef], text: str, chapters: Sequence[Chapter]
) -> dict[str, list[Shown]]:
    """Return the sentences in which each of `words` is said of the character, the first few."""
    found: dict[str, list[Shown]] = {word: [] for word in words}
    for ref in refs:
        places = found.get(ref.word)
        if places is not None and len(places) < PLACES:
            places.append(sentence_at(text, chapters, ref.start))
    return found


def sentence_at(text: str, chapters: Sequence[Chapter], at: int) -> Shown:
    """Return the sentence around a place of the text."""
    before, after = max(0, at - PASSAGE_CHARS), min(len(text), at + PASSAGE_CHARS)
    ends = [match.end() for match in _SENTENCE_ENDS.finditer(text, before, at)]
    start = ends[-1] if ends else before
    stop = _SENTENCE_ENDS.search(text, at, after)
    end = stop.end() if stop else after
    said = text[start:end]
    start, end = start + len(said) - len(said.lstrip()), start + len(said.rstrip())
    chapter = bisect_right([one.start for one in chapters], at) - 1
    return Shown(
        chapter=max(0, chapter), start=start, end=end, text=" ".join(text[start:end].split())
    )
