"""The seven novels, each read once per test session."""

from functools import cache
from pathlib import Path

from models.reading import Character, Quote, Reading
from models.text import normalise
from tasks.adapters.extractors.builtin import BuiltinExtractor

FOLDER = Path(__file__).parents[2] / "data" / "novels"


@cache
def text_of(name: str) -> str:
    """Return a novel's normalised text."""
    return normalise((FOLDER / f"{name}.txt").read_text(encoding="utf-8"))


@cache
def read_novel(name: str) -> Reading:
    """Return a novel, read."""
    return BuiltinExtractor().read(text_of(name))


def called(reading: Reading, alias: str) -> Character:
    """Return the one character who goes by `alias`."""
    found = [c for c in reading.characters if alias in c.aliases]
    assert len(found) == 1, f"{alias}: {[c.name for c in found]}"
    return found[0]


def quote_with(reading: Reading, words: str) -> Quote:
    """Return the first quote that holds `words` (line ends count as spaces)."""
    return next(q for q in reading.quotes if words in " ".join(q.text.split()))


def speaker_of(reading: Reading, words: str) -> str | None:
    """Return the canonical name of who says `words`."""
    speaker = quote_with(reading, words).speaker
    names = {c.id: c.name for c in reading.characters}
    return None if speaker is None else names[speaker]
