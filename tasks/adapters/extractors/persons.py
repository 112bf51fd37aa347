"""Which names are persons': a score from the company a name keeps."""

import math
from collections import Counter

from .lexicon import Lexicon, lexicon
from .names import Name

# A name that scores this much is taken for a person; tuned on LitBank's mentions of persons.
PERSON_SCORE = 1.2


def find_persons(names: dict[Name, Counter[str]]) -> set[Name]:
    """Return the names that are persons'."""
    speaks: Counter[str] = Counter()
    honoured = {name.words[-1].lower() for name in names if name.title}
    for name, evidence in names.items():
        for word in name.core:
            speaks[word] += evidence["said_l"] + evidence["said_r"] + evidence["call"]
    return {
        name
        for name, evidence in names.items()
        if _score(name, evidence, honoured, speaks) >= PERSON_SCORE
    }


def _score(name: Name, evidence: Counter[str], honoured: set[str], speaks: Counter[str]) -> float:
    lists = lexicon()
    total, first, last = evidence["n"], name.core[0], name.core[-1]
    said = evidence["said_l"] + evidence["said_r"]
    seen = math.log1p(total)
    score = 4.0 if name.title else 0.0
    score += 2.0 * math.log1p(said) + 1.5 * math.log1p(evidence["call"])
    score += 1.5 * (evidence["does"] / total) * min(3.0, seen)
    score += 0.8 * evidence["poss"] / total
    score -= 3.0 * ((evidence["at"] + 0.35 * evidence["to"]) / total) * min(2.0, seen)
    score += _by_lists(name, lists, said)
    score += 1.0 if last in honoured else 0.0
    score += 1.0 if len(name.core) > 1 and speaks[first] else 0.0
    if evidence["the"] > 0.5 * total and not said:
        score -= 1.5
    return score


def _by_lists(name: Name, lists: Lexicon, said: int) -> float:
    """Return what the word lists add to a score."""
    first, last = name.core[0], name.core[-1]
    score = 0.0
    if not name.title and first in lists.of("names", "places") and said < 3:
        score -= 3.0
    if len(name.core) == 1 and (first in lists.of("titles", "he") | lists.of("titles", "she")):
        score += 2.5
    if lists.known(first):
        score += 1.7 if lists.gender(first) else 1.0
    if last in lists.of("names", "place_heads"):
        score -= 4.0
    if any(word in lists.of("names", "nations") for word in name.core):
        score -= 4.0
    return score
