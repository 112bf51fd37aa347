"""BookNLP's files, read. The format is not documented; this is what version 1.0.8 writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tasks.refusals import BookNLPFailed

NONE = "None"  # a quotation that nobody was found for has this in four columns
LISTS = ("agent", "patient", "poss", "mod")


class Token(NamedTuple):
    """A word. `start` and `end` count characters, though their columns are called bytes."""

    paragraph: int
    word: str
    start: int
    end: int
    pos: str  # spaCy's coarse tag


class Entity(NamedTuple):
    """A mention, tokens `first` to `last` inclusive. `prop`: PROP, NOM, PRON; `kind`: PER, …."""

    cluster: int
    first: int
    last: int
    prop: str
    kind: str
    text: str


class Speech(NamedTuple):
    """A quotation, tokens `first` to `last` inclusive, and the mention that its speaker is."""

    first: int
    last: int
    mention: tuple[int, int] | None
    phrase: str | None
    cluster: int | None


class Person(NamedTuple):
    """A cluster of mentions. Id 0 is who says "I" outside of quotations.

    `pronouns`: he / she / they → probability; empty where BookNLP gives none. The lists hold a word
    and its token, each token once, in order.
    """

    id: int
    mentions: int
    pronouns: dict[str, float]
    proper: dict[str, int]
    common: dict[str, int]
    lists: dict[str, list[tuple[str, int]]]


class Output(NamedTuple):
    """A book as BookNLP reads it."""

    tokens: list[Token]  # empty where the file of tokens is not there
    entities: list[Entity]
    speeches: list[Speech]
    people: list[Person]


def parse_booknlp(folder: Path) -> Output:
    """Read the files that BookNLP has written for one book. Raises BookNLPFailed.

    Pure: looks at nothing but the files. Columns are found by their header, because versions have
    12, 13 or 14 of them; a quotation mark is a word like any other.
    """
    found = sorted(folder.glob("*.book"))
    if len(found) != 1:
        raise BookNLPFailed("BookNLP has not written its files.")
    tokens = found[0].with_suffix(".tokens")
    try:
        return Output(
            tokens=[_token(row) for row in _rows(tokens)] if tokens.exists() else [],
            entities=[_entity(row) for row in _rows(found[0].with_suffix(".entities"))],
            speeches=[_speech(row) for row in _rows(found[0].with_suffix(".quotes"))],
            people=[_person(one) for one in json.loads(found[0].read_text("utf-8"))["characters"]],
        )
    except (KeyError, ValueError, OSError) as error:
        raise BookNLPFailed(f"BookNLP's files cannot be read: {error!r}") from error


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a file as column → value; what the header does not name is left out.

    Only "\\n" ends a line: words may hold other signs that Python takes for line ends.
    """
    with path.open(encoding="utf-8", newline="\n") as file:
        header = file.readline().rstrip("\n").split("\t")
        for line in file:
            yield dict(zip(header, line.rstrip("\n").split("\t"), strict=False))


def _token(row: dict[str, str]) -> Token:
    return Token(
        paragraph=int(row["paragraph_ID"]),
        word=row["word"],
        start=int(row["byte_onset"]),
        end=int(row["byte_offset"]),
        pos=row["POS_tag"],
    )


def _entity(row: dict[str, str]) -> Entity:
    first, last = int(row["start_token"]), int(row["end_token"])
    return Entity(int(row["COREF"]), first, last, row["prop"], row["cat"], row["text"])


def _speech(row: dict[str, str]) -> Speech:
    known = row["char_id"] != NONE
    return Speech(
        first=int(row["quote_start"]),
        last=int(row["quote_end"]),
        mention=(int(row["mention_start"]), int(row["mention_end"])) if known else None,
        phrase=row["mention_phrase"] if known else None,
        cluster=int(row["char_id"]) if known else None,
    )


def _person(told: dict[str, Any]) -> Person:
    inferred = (told["g"] or {}).get("inference", {})
    return Person(
        id=told["id"],
        mentions=told["count"],
        pronouns={kind.split("/")[0]: share for kind, share in inferred.items()},
        proper={one["n"]: one["c"] for one in told["mentions"]["proper"]},
        common={one["n"]: one["c"] for one in told["mentions"]["common"]},
        lists={name: sorted(_once(told[name]), key=lambda ref: ref[1]) for name in LISTS},
    )


def _once(refs: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return a word and its place, each place once: BookNLP lists it for every mention near it."""
    return [(word, place) for place, word in {ref["i"]: ref["w"] for ref in refs}.items()]
