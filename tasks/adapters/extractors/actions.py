"""What members of the cast do, undergo, have and are, by patterns of word order.

After BookNLP's agent, patient, poss and mod. Without a parser: a verb is told by its ending, by a
list of irregular ones, and by standing where a verb stands.
"""

from collections import defaultdict
from typing import NamedTuple

from models.reading import Actions, WordRef

from .lexicon import lexicon
from .mentions import Named
from .page import Page
from .pronouns import POSSESSIVE, Meant

VERB_REACH = 6  # words between a subject and its verb, adverbs and auxiliaries
NOUN_REACH = 4  # words between "his" and what is his
_OBJECTS = frozenset({"him", "her", "me"})
_OTHERS = frozenset({"him", "himself", "herself", "me", "myself", "mine", "hers"})
_NOT_PAST = frozenset({"indeed", "hundred", "instead", "need", "bed", "red", "kindred"})


class _Place(NamedTuple):
    """A name or pronoun: words `first` to `last` (exclusive), and the use it is put to."""

    first: int
    last: int
    who: int
    owner: bool
    subject: bool
    object: bool


class ActionReader:
    """Reads the actions of one page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        lists = lexicon()
        self._adverbs = lists.of("grammar", "adverbs")
        self._adjectives = lists.of("grammar", "adjectives")
        self._stop = lists.of("grammar", "stop")
        self._be = lists.of("verbs", "be")
        self._auxiliary = lists.of("verbs", "auxiliary")
        self._past = lists.of("verbs", "past")
        self._participles = lists.of("verbs", "participles")
        self._strong = lists.of("speech", "strong")

    def read(self, named: list[Named], meant: list[Meant]) -> dict[int, Actions]:
        """Return the actions by member of the cast, each list in the order of the text."""
        found: dict[int, Actions] = defaultdict(Actions)
        for place in sorted([*self._names(named), *self._pronouns(meant)]):
            kind, at = self._relation(place)
            if kind and at is not None:
                ref = WordRef(self._page.low[at].removesuffix("'s"), self._page.start[at])
                getattr(found[place.who], kind).append(ref)
            if place.object and not place.owner and (verb := self._governing(place)) is not None:
                ref = WordRef(self._page.low[verb], self._page.start[verb])
                found[place.who].patient.append(ref)
        return dict(found)

    def _names(self, named: list[Named]) -> list[_Place]:
        return [
            _Place(n.first, n.last, n.who, n.possessive, not n.possessive, True)
            for n in named
            if self._page.quote[n.first] < 0
        ]

    def _pronouns(self, meant: list[Meant]) -> list[_Place]:
        places = []
        for at, who in meant:
            low = self._page.low[at]
            owner = low in POSSESSIVE or (low == "her" and self._owns(at + 1))
            subject = low not in _OTHERS and not owner and low != "her"
            places.append(_Place(at, at + 1, who, owner, subject, low in _OBJECTS))
        return places

    def _owns(self, i: int) -> bool:
        """Say whether "her" before word `i` is possessive."""
        page = self._page
        if i >= len(page) or not page.word[i][0].isalpha():
            return False
        return page.low[i] not in self._stop and page.low[i] not in self._adverbs

    def _relation(self, place: _Place) -> tuple[str | None, int | None]:
        if place.owner:
            return "poss", self._owned(place.last)
        if not place.subject:
            return None, None
        before = self._page.low[place.first - 1] if place.first else ""
        if before in self._strong:  # "said Elizabeth"
            return "agent", place.first - 1
        return self._predicate(place.last)

    def _predicate(self, i: int) -> tuple[str | None, int | None]:
        """Read on from a subject to its verb, or to what it is said to be."""
        page, being, helped = self._page, False, False
        for j in range(i, min(i + VERB_REACH, len(page))):
            low = page.low[j]
            if page.para[j] != page.para[i - 1] or not page.word[j][0].isalpha():
                return None, None
            if low in self._be:
                being = True
            elif low in self._auxiliary:
                being, helped = False, True
            elif (low in ("a", "an", "the") and being) or self._is_adverb(low):
                continue
            elif being:
                return self._after_being(j)
            elif self._is_verb(low) or (helped and low not in self._stop):
                return "agent", j
            else:
                return None, None
        return None, None

    def _after_being(self, j: int) -> tuple[str | None, int | None]:
        low = self._page.low[j]
        if low in self._stop:
            return None, None
        if low.endswith("ing") and len(low) > 5:
            return "agent", j
        if low in self._participles or (low.endswith("ed") and low not in self._adjectives):
            return "patient", j
        return "mod", j

    def _is_adverb(self, low: str) -> bool:
        return low in self._adverbs or (low.endswith("ly") and len(low) > 4)

    def _is_verb(self, low: str) -> bool:
        return low in self._past or (low.endswith("ed") and low not in _NOT_PAST)

    def _owned(self, i: int) -> int | None:
        """Return the noun of "his tall, thin figure"."""
        page, noun = self._page, None
        for j in range(i, min(i + NOUN_REACH, len(page))):
            low = page.low[j]
            if not page.word[j][0].isalpha() or low in self._stop or page.quote[j] >= 0:
                break
            if noun is not None and (self._is_verb(low) or self._is_adverb(low)):
                break
            if low in self._be or low in self._auxiliary:
                break
            if low not in self._adjectives and not self._is_adverb(low):
                noun = j
                if not low.endswith(("ous", "ful", "ing", "ed", "ish", "able", "ible", "less")):
                    break
        return noun

    def _governing(self, place: _Place) -> int | None:
        """Return the verb right before an object."""
        page, verb = self._page, place.first - 1
        if verb < 0 or page.para[verb] != page.para[place.first] or page.quote[verb] >= 0:
            return None
        low = page.low[verb]
        if low in self._strong or not page.word[verb][0].islower():
            return None
        to_do = verb > 0 and page.low[verb - 1] == "to" and low not in self._stop
        verbal = self._is_verb(low) or (low.endswith("ing") and len(low) > 5) or to_do
        return verb if verbal and low not in self._auxiliary and low not in self._be else None
