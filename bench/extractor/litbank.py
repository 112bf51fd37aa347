"""LitBank's quotation annotations, put onto the paragraphs of the original texts.

LitBank (https://github.com/dbamman/litbank, CC BY 4.0) annotates about 2,000 words of each of 100
works: Sims and Bamman, "Measuring Information Propagation in Literary Social Networks", 2020.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .corpora import Novel, Person, Quotation

MAJOR_MENTIONS = 10  # named persons with as many, pronouns included, count as characters to find
MINE = frozenset({"i", "me", "my", "mine", "myself"})  # outside of speech, a narrator's
_PRONOUNS = {"he": "he", "him": "he", "his": "he", "she": "she", "her": "she", "hers": "she"}


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
    people: list[Person] = field(default_factory=list)


def is_litbank(path: Path) -> bool:
    """Say whether a folder is LitBank's."""
    return all((path / part).is_dir() for part in ("quotations", "coref", "original"))


def as_novel(document: Document) -> Novel:
    """Return a work in the form of the other corpora: the annotated part of it."""
    names = {person.name for person in document.people}
    kept = [quote for quote in document.quotes if quote.speaker in names]
    quotations = [Quotation(((q.start, q.end),), q.speaker or "") for q in kept]
    foreign = len(document.quotes) - len(kept)
    text = document.text[: document.end]
    return Novel(document.name, text, document.people, quotations, foreign)


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
    people = _people(root, name, set(speakers.values()))
    return Document(name, text, limit, found, len(quotes) - len(found), people)


def _squeeze(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits only, and where each stood."""
    places = [i for i, char in enumerate(text) if char.isalnum()]
    return "".join(text[i].lower() for i in places), places


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def _place(row: list[str]) -> tuple[int, ...]:
    """Return where a mention or a quotation is: sentence and word of its start, then of its end."""
    return tuple(int(cell) for cell in row[2:6])


def _mentioned(root: Path, name: str) -> dict[str, set[str]]:
    """Return the phrases that mention each entity, without what all say of themselves in speech."""
    quotations = _rows(root / "quotations" / f"{name}.ann")
    spoken = [_place(row) for row in quotations if row[0] == "QUOTE"]
    phrases, found = {}, defaultdict(set)
    for row in _rows(root / "coref" / f"{name}.ann"):
        if row[0] == "MENTION":
            at, phrase = _place(row), row[6].lower()
            own = phrase in MINE and any(q[:2] <= at[:2] <= q[2:] for q in spoken)
            if not own:
                phrases[row[1]] = phrase
        elif row[0] == "COREF" and row[1] in phrases:
            found[row[2]].add(phrases[row[1]])
    return found


def _people(root: Path, name: str, speakers: set[str]) -> list[Person]:
    """Return the named persons, and whoever speaks without a name."""
    rows = _rows(root / "coref" / f"{name}.ann")
    mentions = {row[1]: (row[6].lower(), row[7], row[8]) for row in rows if row[0] == "MENTION"}
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row in rows:
        if row[0] == "COREF" and row[1] in mentions:
            found[row[2]].append(mentions[row[1]])
    people = [_person(key, own, key in speakers) for key, own in sorted(found.items())]
    return [person for person in people if person is not None]


def _person(key: str, mentions: list[tuple[str, str, str]], speaks: bool) -> Person | None:
    named = {phrase for phrase, _, kind in mentions if kind == "PROP"}
    if not speaks and not (named and any(what == "PER" for _, what, _ in mentions)):
        return None
    described = {phrase for phrase, _, kind in mentions if kind == "NOM"}
    genders = Counter(_PRONOUNS[p] for p, _, _ in mentions if p in _PRONOUNS)
    return Person(
        name=key,
        aliases=frozenset(named or described),
        gender=genders.most_common(1)[0][0] if genders else "",
        important=bool(named) and len(mentions) >= MAJOR_MENTIONS,
    )


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
