"""Whom he, she and the narrator's I mean, in narration."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .mentions import KnownCast, Named
from .page import Page
from .runs import PRONOUN_GENDER

# Salience in words of distance: a subject stays in mind longer than somebody mentioned by the way.
SUBJECT_BONUS = 25
SUBJECT_WORDS = 3  # a name this close to the start of its sentence is its subject
PRONOUN_BONUS = {"he": 15, "she": 15}
OBJECT_BONUS = 5
FORGOTTEN = 150  # words of narration
NOTHING: Mapping[int, str] = MappingProxyType({})
_MINE = frozenset({"i", "me", "my", "mine", "myself"})
POSSESSIVE = frozenset({"his", "my"})


class Meant(NamedTuple):
    """Word `at` of a page is a pronoun for a member of the cast."""

    at: int
    who: int


def resolve_pronouns(
    page: Page, named: list[Named], cast: KnownCast, also: Mapping[int, str] = NOTHING
) -> list[Meant]:
    """Return the pronouns of the narration that can be told, in order.

    `also` names further words to read as a pronoun: word → "he" or "she".
    """
    at = {mention.first: mention for mention in named}
    salience: dict[int, int] = {}
    found: list[Meant] = []
    sentence = now = 0  # now: words of narration so far
    for i, low in enumerate(page.low):
        if page.initial[i]:
            sentence = i
        if page.quote[i] >= 0:
            continue
        now += 1
        if i in at:
            mention = at[i]
            subject = i - sentence <= SUBJECT_WORDS and not mention.possessive
            salience[mention.who] = now + (SUBJECT_BONUS if subject else 0)
        elif low in PRONOUN_GENDER or i in also:
            who = _most_salient(salience, also.get(i) or PRONOUN_GENDER[low], now, cast)
            if who is not None:
                salience[who] = max(salience[who], now + PRONOUN_BONUS.get(low, OBJECT_BONUS))
                found.append(Meant(i, who))
        elif low in _MINE and cast.narrator is not None:
            found.append(Meant(i, cast.narrator))
    return found


def _most_salient(salience: dict[int, int], gender: str, now: int, cast: KnownCast) -> int | None:
    fitting = [
        (value, who)
        for who, value in salience.items()
        if cast.gender.get(who) == gender and now - value < FORGOTTEN
    ]
    return max(fitting)[1] if fitting else None
