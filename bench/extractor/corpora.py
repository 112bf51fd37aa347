"""Annotated novels: a text, its people, and who says what.

Reads the form of the Project Dialogism Novel Corpus (Vishnubhotla, Hammond and Hirst, LREC 2022):
a folder per novel with `novel_text.txt`, `quotation_info.csv` (columns quoteByteSpans, a list of
[start, end] in characters; speaker; addressees; quoteType) and `character_info.csv` (Main Name,
Aliases, Gender, Category).
"""

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TEXT, QUOTATIONS, PEOPLE = "novel_text.txt", "quotation_info.csv", "character_info.csv"
GENDERS = {"m": "he", "f": "she"}
IMPORTANT = frozenset({"major", "intermediate"})
# The extractor's normalising would move offsets; these are one character for one.
_ONE_FOR_ONE = str.maketrans({"\r": " ", "\x0c": " ", "\xa0": " ", "\ufeff": " "})


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who should be found; `gender` is he, she or empty."""

    name: str
    aliases: frozenset[str]
    gender: str = ""
    important: bool = False


@dataclass(frozen=True, slots=True)
class Quotation:
    """Direct speech, perhaps in several pieces, by the person called `speaker`.

    `kind` is explicit, anaphoric or implicit; empty where that is not annotated.
    """

    spans: tuple[tuple[int, int], ...]
    speaker: str
    addressees: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Novel:
    """One annotated work. `foreign` counts quotations by nobody who is listed: left out."""

    name: str
    text: str
    people: list[Person]
    quotations: list[Quotation]
    foreign: int = field(default=0)


def is_novel(folder: Path) -> bool:
    """Say whether a folder holds one novel of the documented form."""
    return all((folder / name).is_file() for name in (TEXT, QUOTATIONS, PEOPLE))


def find_novels(path: Path) -> list[Path]:
    """Return the folders of the novels at or under a path, by name."""
    if is_novel(path):
        return [path]
    return sorted(text.parent for text in path.rglob(TEXT) if is_novel(text.parent))


def read_novel(folder: Path) -> Novel:
    """Read one novel. Raises KeyError where a documented column is missing."""
    text = (folder / TEXT).read_text(encoding="utf-8").translate(_ONE_FOR_ONE)
    people = [_person(row) for row in _rows(folder / PEOPLE) if row["Main Name"].strip()]
    known = {alias.lower(): p.name for p in people for alias in sorted(p.aliases)}
    known |= {person.name.lower(): person.name for person in people}
    found = [_quotation(row, known) for row in _rows(folder / QUOTATIONS)]
    kept = [quotation for quotation in found if quotation is not None]
    return Novel(folder.name, text, people, kept, len(found) - len(kept))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _person(row: dict[str, str]) -> Person:
    name = row["Main Name"].strip()
    return Person(
        name=name,
        aliases=frozenset({name, *_strings(row["Aliases"])}),
        gender=GENDERS.get(row["Gender"].strip().lower(), ""),
        important=row["Category"].strip().lower() in IMPORTANT,
    )


def _strings(cell: str) -> list[str]:
    """Read a list or set of strings as Python writes it; anything else is one string."""
    try:
        value = ast.literal_eval(cell.strip() or "[]")
    except (ValueError, SyntaxError):
        return [cell.strip()]
    if isinstance(value, str):
        return [value]
    return sorted(str(one).strip() for one in value if str(one).strip())


def _quotation(row: dict[str, str], known: dict[str, str]) -> Quotation | None:
    speaker = known.get(row["speaker"].strip().lower())
    if speaker is None:
        return None
    spans = tuple((int(start), int(end)) for start, end in ast.literal_eval(row["quoteByteSpans"]))
    addressees = [known.get(one.lower()) for one in _strings(row.get("addressees") or "")]
    kind = row["quoteType"].strip().lower()
    return Quotation(spans, speaker, tuple(one for one in addressees if one), kind)
