"""LitBank's quotation annotations, put onto the paragraphs of the original texts.

LitBank (https://github.com/dbamman/litbank, CC BY 4.0) annotates about 2,000 words of each of 100
works: Sims and Bamman, "Measuring Information Propagation in Literary Social Networks", 2020.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GoldQuote:
    """A quotation by offsets into the original text, and whom it is attributed to."""

    start: int
    end: int
    speaker: str | None
    names: frozenset[str]  # lower-case phrases by which the speaker is mentioned


@dataclass(frozen=True, slots=True)
class Document:
    """One work; annotations end at offset `end` of its text."""

    name: str
    text: str
    end: int
    quotes: list[GoldQuote]
    unaligned: int


def load(root: Path) -> list[Document]:
    """Read all works under LitBank's folder, in alphabetical order."""
    names = sorted(path.stem for path in (root / "quotations").glob("*.ann"))
    return [_document(root, name) for name in names]


def _document(root: Path, name: str) -> Document:
    text = (root / "original" / f"{name.removesuffix('_brat')}.txt").read_text(encoding="utf-8")
    squeezed, places = _squeeze(text)
    annotated = len(_squeeze((root / "coref" / f"{name}.txt").read_text(encoding="utf-8"))[0])
    mentioned = _mentioned(root, name)
    quotes, speakers = _quotations(root, name)
    found, place = [], 0
    for key, words in quotes:
        needle = _squeeze(words)[0]
        at = squeezed.find(needle, place) if needle else -1
        if at < 0:
            continue
        place = at
        speaker = speakers.get(key)
        names = mentioned.get(speaker or "", set()) | _own_label(speaker)
        start, end = places[at], places[at + len(needle) - 1] + 1
        found.append(GoldQuote(start, end, speaker, frozenset(names)))
    limit = places[min(annotated, len(places)) - 1]
    return Document(name, text, limit, found, len(quotes) - len(found))


def _squeeze(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits only, and where each stood."""
    places = [i for i, char in enumerate(text) if char.isalnum()]
    return "".join(text[i].lower() for i in places), places


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def _mentioned(root: Path, name: str) -> dict[str, set[str]]:
    """Return the phrases that mention each entity."""
    phrases, found = {}, defaultdict(set)
    for row in _rows(root / "coref" / f"{name}.ann"):
        if row[0] == "MENTION":
            phrases[row[1]] = row[6].lower()
        elif row[0] == "COREF" and row[1] in phrases:
            found[row[2]].add(phrases[row[1]])
    return found


def _quotations(root: Path, name: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    quotes, speakers = [], {}
    for row in _rows(root / "quotations" / f"{name}.ann"):
        if row[0] == "QUOTE":
            quotes.append((row[1], row[6]))
        elif row[0] == "ATTRIB":
            speakers[row[1]] = row[2]
    return quotes, speakers


def _own_label(speaker: str | None) -> set[str]:
    """Return the phrase in an entity's label: "Mr_Woodhouse-4" is "mr woodhouse"."""
    if speaker is None:
        return set()
    return {speaker.rsplit("-", 1)[0].replace("___", " ").replace("_", " ").lower().strip()}
