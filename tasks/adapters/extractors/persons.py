"""Which names are persons': a score from the company a name keeps."""

import math
from collections import Counter

from .lexicon import Lexicon, lexicon
from .names import Name

# A name that scores this much is taken for a person. Set by hand like the score's own weights, with
# the casts of the seven novels in view: nothing was fitted, and these novels are no proof of it.
PERSON_SCORE = 1.2
SEEN_OFTEN = 4  # mentions; a name that often but never in narration is suspect: Soup, Sahib
FAMILY_BONUS = 1.0  # for the first name or surname of somebody


def find_persons(names: dict[Name, Counter[str]]) -> set[Name]:
    """Return the names that are persons'."""
    speaks: Counter[str] = Counter()
    honoured = {name.words[-1].lower() for name in names if name.title}
    for name, evidence in names.items():
        for word in name.core:
            speaks[word] += evidence["said_l"] + evidence["said_r"] + evidence["call"]
    scores = {name: _score(name, e, honoured, speaks) for name, e in names.items()}
    found = {name for name, value in scores.items() if value >= PERSON_SCORE}
    words = {word for name in found if len(name.core) > 1 for word in name.core}
    alone = {name.core[0] for name in found if len(name.core) == 1}
    for name in names.keys() - found:
        of_person = len(name.core) == 1 and name.core[0] in words
        close = of_person and scores[name] + FAMILY_BONUS >= PERSON_SCORE
        if close or (len(name.core) == 2 and _enlarges(name, alone)):
            found.add(name)
    return {name for name in found if not _is_plural(name, names)}


def _enlarges(name: Name, alone: set[str]) -> bool:
    """Say whether a name is a longer one of somebody: the Cheshire Cat, the Queen of Hearts."""
    lists = lexicon()
    first, last = name.core
    if "of" in name.words:
        return first in alone
    placed = (
        last in lists.of("names", "place_heads")
        or first in lists.of("names", "nations")
        or first in lists.of("names", "place_first")
    )
    return last in alone and not name.title and not placed and not lists.known(first)


def _is_plural(name: Name, names: dict[Name, Counter[str]]) -> bool:
    """Say whether a name is a family's: the Bennets, the Miss Bennets."""
    last = name.words[-1]
    if len(last) < 4 or not last.endswith("s"):
        return False
    one = last[:-2] if last.endswith(("ses", "xes", "ches")) else last[:-1]
    single = sum(e["n"] for other, e in names.items() if other.words[-1] == one)
    own = sum(e["n"] for other, e in names.items() if other.words[-1] == last)
    return single > own


def _score(name: Name, evidence: Counter[str], honoured: set[str], speaks: Counter[str]) -> float:
    lists = lexicon()
    total, first, last = evidence["n"], name.core[0], name.core[-1]
    said = evidence["said_l"] + evidence["said_r"]
    seen = math.log1p(total)
    score = _by_title(name)
    score += 2.0 * math.log1p(said) + 1.5 * math.log1p(evidence["call"])
    score += 1.5 * (evidence["does"] / total) * min(3.0, seen)
    score += 0.8 * evidence["poss"] / total
    score -= 3.0 * ((evidence["at"] + 0.35 * evidence["to"]) / total) * min(2.0, seen)
    score += _by_lists(name, lists, said)
    score += 1.0 if last in honoured else 0.0
    score += 1.0 if len(name.core) > 1 and speaks[first] else 0.0
    if evidence["the"] > 0.5 * total and not said and not name.title:
        score -= 4.0
    only_spoken = evidence["quoted"] == total and total >= SEEN_OFTEN
    if only_spoken and len(name.core) == 1 and not name.title and not lists.known(first):
        score -= 2.0
    return score


def _by_title(name: Name) -> float:
    """Return what a title adds: St. James is a palace as often as a man."""
    if not name.title:
        return 0.0
    return -2.0 if all(title in ("st.", "saint") for title in name.title) else 4.0


def _by_lists(name: Name, lists: Lexicon, said: int) -> float:
    """Return what the word lists add to a score."""
    first, last = name.core[0], name.core[-1]
    score = 0.0
    elsewhere = lists.of("names", "places") | lists.of("names", "months")
    if not name.title and first in elsewhere and said < 3:
        score -= 3.0
    if len(name.core) > 1 and first in lists.of("names", "place_first"):
        score -= 4.0
    if len(name.core) == 1 and (first in lists.of("titles", "he") | lists.of("titles", "she")):
        score += 2.5
    if lists.known(first):
        score += 1.7 if lists.gender(first) else 1.0
    if last in lists.of("names", "place_heads"):
        score -= 4.0
    if any(word in lists.of("names", "nations") for word in name.core):
        score -= 4.0
    return score
