"""The word lists the extractor works with, read once per process."""

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
_PET_ENDINGS = ("y", "ie", "ey")
CLEAR_RATIO = 3.0  # a name is a man's or a woman's when one use is this much more frequent


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word lists by section and name, nicknames, and how often a name was he or she."""

    words: dict[str, dict[str, frozenset[str]]]
    nicknames: dict[str, frozenset[str]]  # name → the full names it may stand for
    gender_counts: dict[str, tuple[float, float]]

    def of(self, section: str, name: str) -> frozenset[str]:
        """Return one list."""
        return self.words[section][name]

    def known(self, word: str) -> bool:
        """Say whether a lower-case word is in the list of first names."""
        return word in self.gender_counts

    def gender(self, word: str) -> str | None:
        """Return "he" or "she" for a first name that is clearly one of them."""
        he, she = self.gender_counts.get(word, (0.0, 0.0))
        if he > CLEAR_RATIO * she:
            return "he"
        return "she" if she > CLEAR_RATIO * he else None

    def same_first_name(self, one: str, other: str) -> bool:
        """Say whether two lower-case first names may be one person's: Lizzy and Elizabeth."""
        if one == other:
            return True
        ones = self.nicknames.get(one, frozenset())
        others = self.nicknames.get(other, frozenset())
        if one in others or other in ones:
            return True
        return one[:3] == other[:3] and bool(
            ones & others or one[:-2] == other or other[:-2] == one
        )


@cache
def lexicon() -> Lexicon:
    """Return the lists, loaded on the first call."""
    with (DATA / "words.toml").open("rb") as file:
        sections = tomllib.load(file)
    words = {
        section: {name: frozenset(text.split()) for name, text in lists.items()}
        for section, lists in sections.items()
    }
    return Lexicon(words, _nicknames(), _gender_counts())


def _nicknames() -> dict[str, frozenset[str]]:
    """Read BookNLP's list: a full name, then its short forms, by tabs.

    A longer form without a pet ending is a name of its own: Maria is not Mary.
    """
    found: dict[str, set[str]] = {}
    for line in (DATA / "aliases.txt").read_text(encoding="utf-8").splitlines():
        full, *short = line.strip().lower().split("\t")
        for name in short:
            if len(name) <= len(full) or name.endswith(_PET_ENDINGS):
                found.setdefault(name, set()).add(full)
    return {name: frozenset(fulls) for name, fulls in found.items()}


def _gender_counts() -> dict[str, tuple[float, float]]:
    """Read BookNLP's counts: name, he, she, they, by tabs."""
    counts = {}
    for line in (DATA / "gender.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        name, he, she, _they = line.split("\t")
        if name.isalpha():
            counts[name] = (float(he), float(she))
    return counts


@cache
def weights() -> dict[str, float]:
    """Return the weights of the speaker model, trained by `bench.extractor.train`."""
    loaded: dict[str, float] = json.loads((DATA / "weights.json").read_text(encoding="utf-8"))
    return loaded
