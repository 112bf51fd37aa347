"""Runs of capitalised words in a chapter, with the company they keep.

Which part of a run is a name depends on the whole book ("But Elizabeth" is, "But Monday" is not),
so a scan only counts, and `persons` decides when all chapters are in. Evidence names:
`poss` possessive · `call` called by that name in speech · `said` next to a verb of speech (`_l` on
its left, `_r` right) · `does` does what persons do · `at` / `to` after a preposition of place ·
`the` after an article · `quoted` inside direct speech · `he` / `she` the next pronoun.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from models.reading import FormEvidence

from .lexicon import Lexicon, lexicon
from .page import Page

PRONOUN_REACH = 18  # words; further on, a pronoun is as likely somebody else's
_PRONOUNS = {
    "he": ("he", "him", "his", "himself"),
    "she": ("she", "her", "hers", "herself"),
}
PRONOUN_GENDER = {word: gender for gender, words in _PRONOUNS.items() for word in words}
_ENDS = frozenset(".!?")
_BEFORE_CALL = frozenset({",", '"', "\u201c", "'", "\u2018", "!", "?", ".", ";", "—", "_"})
_AFTER_CALL = frozenset({",", ".", "!", "?", '"', "\u201d", "\u2019", ";", "'", "—", "_"})


class Run(NamedTuple):
    """Words `first` to `last` (exclusive) of a page; `words` without the possessive ending."""

    first: int
    last: int
    words: tuple[str, ...]
    possessive: bool


def bare(word: str) -> tuple[str, bool]:
    """Return a word without a possessive ending, and whether it had one."""
    if word.endswith(("'s", "\u2019s")):
        return word[:-2], True
    return word, False


def is_capitalised(word: str) -> bool:
    """Say whether a word is written like a name: not "I", not in capitals altogether."""
    if not word[0].isupper():
        return False
    core = bare(word)[0]
    if word.endswith("."):
        return True
    return len(core) > 1 and not core.isupper()


def find_runs(page: Page) -> list[Run]:
    """Return the runs of a page in order."""
    lists, found, after = lexicon(), [], 0
    for i, word in enumerate(page.word):
        if i >= after and word[0].isupper() and is_capitalised(word):
            run = _run_from(page, i, lists)
            found.append(run)
            after = run.last
    return found


def _run_from(page: Page, first: int, lists: Lexicon) -> Run:
    words: list[str] = []
    i, possessive = first, False
    while i < len(page) and page.para[i] == page.para[first]:
        word = page.word[i]
        if is_capitalised(word) and page.quote[i] == page.quote[first]:
            core, possessive = bare(word)
            words.append(core)
            i += 1
            if possessive:
                break
        elif words and _is_particle(page, i, words[-1], lists):
            words.append(word)
            i += 1
        else:
            break
    return Run(first, i, tuple(words), possessive)


def _is_particle(page: Page, i: int, before: str, lists: Lexicon) -> bool:
    """Say whether word `i` joins two parts of a name: Lady Catherine de Bourgh, Queen of Hearts."""
    follows = i + 1 < len(page) and is_capitalised(page.word[i + 1])
    if page.low[i] == "of":
        low = before.lower()
        ranked = low in lists.of("titles", "he") or low in lists.of("titles", "she")
        return follows and (ranked or low in ("knave", "man"))
    return follows and page.low[i] in lists.of("names", "particles")


def gather_forms(page: Page, runs: list[Run]) -> list[FormEvidence]:
    """Count each distinct run of a page with its evidence."""
    counts: dict[tuple[tuple[str, ...], bool], Counter[str]] = defaultdict(Counter)
    for place, run in enumerate(runs):
        following = runs[place + 1].first if place + 1 < len(runs) else len(page)
        evidence = counts[run.words, page.initial[run.first]]
        evidence["n"] += 1
        _see_neighbours(page, run, evidence)
        pronoun = _next_pronoun(page, run, following)
        if pronoun:
            evidence[pronoun] += 1
    return [
        FormEvidence(
            words=words,
            initial=initial,
            count=evidence.pop("n"),
            counts={key: evidence[key] for key in sorted(evidence)},
        )
        for (words, initial), evidence in counts.items()
    ]


def _see_neighbours(page: Page, run: Run, evidence: Counter[str]) -> None:
    """Add what the words next to a run say about it."""
    lists = lexicon()
    before = page.low[run.first - 1] if run.first else ""
    after = page.low[run.last] if run.last < len(page) else ""
    strong = lists.of("speech", "strong")
    if page.quote[run.first] >= 0:
        evidence["quoted"] += 1
        if is_call(page, run.first, run.last, lists) and not run.possessive:
            evidence["call"] += 1
    else:
        further = page.low[run.first - 2] if before == "the" and run.first > 1 else before
        evidence["said_l"] += further in strong
        evidence["said_r"] += after in strong
    if not run.possessive:
        evidence["does"] += after in lists.of("verbs", "person") or _is_past(after)
        if before in lists.of("names", "place_before"):
            evidence["to" if before in ("to", "from", "toward", "towards") else "at"] += 1
    evidence["poss"] += run.possessive
    evidence["the"] += before in ("the", "a", "an")
    for key in [key for key, value in evidence.items() if not value]:
        del evidence[key]


def is_call(page: Page, first: int, last: int, lists: Lexicon) -> bool:
    """Say whether the words `first` to `last` of a speech stand alone, as a call does."""
    before = page.word[first - 1] if first else '"'
    after = page.word[last] if last < len(page) else '"'
    opens = before in _BEFORE_CALL or before.startswith("--")
    opens = opens or page.low[first - 1] in lists.of("speech", "call_before")
    return opens and (after in _AFTER_CALL or after.startswith("--"))


def _is_past(word: str) -> bool:
    return word.endswith("ed") and len(word) > 4


def _next_pronoun(page: Page, run: Run, following: int) -> str | None:
    """Return "he" or "she" (of "the Mouse", also "it") where one follows before another name."""
    quoted = page.quote[run.first] >= 0
    subject = run.first == 0 or page.initial[run.first] or page.low[run.first - 1] == "the"
    told = run.first > 0 and page.low[run.first - 1] in lexicon().of("speech", "strong")
    thing = run.first > 0 and page.low[run.first - 1] == "the"
    for i in range(run.last, min(following, run.last + PRONOUN_REACH)):
        if page.para[i] != page.para[run.first]:
            return None
        if page.word[i] in _ENDS and (told or not subject):
            return None
        if thing and page.low[i] in ("it", "its", "itself") and page.quote[i] < 0:
            return "it"
        if (page.quote[i] >= 0) == quoted and page.low[i] in PRONOUN_GENDER:
            return PRONOUN_GENDER[page.low[i]]
    return None
