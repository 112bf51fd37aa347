"""Noun phrases that may be whoever speaks: a name, a pronoun, "the old gentleman"."""

from typing import Literal, NamedTuple

from .lexicon import lexicon
from .mentions import KnownCast, Named
from .page import Page

Kind = Literal["named", "pronoun", "narrator", "noun", "other"]
NOUN_REACH = 4  # words between an article and its noun
_DETERMINERS = frozenset(
    ["the", "a", "an", "his", "her", "my", "their", "another", "this", "that", "one", "our"]
)
_ARTICLES = {"the": "the", "a": "a", "an": "a", "another": "a", "one": "a", "this": "the"}
_ARTICLES |= {"that": "the"}
_NOBODY = frozenset(["they", "we", "it", "both", "everybody", "everyone"])


class Subject(NamedTuple):
    """A noun phrase that may be whoever speaks; it ends before word `next`."""

    kind: Kind
    who: int | None
    noun: str
    gender: str  # he | she | unknown
    next: int
    possessive: bool
    article: str = ""  # the | a | whose: how a noun is introduced
    start: int = -1  # the word the phrase begins with


class Unnamed(NamedTuple):
    """Word `at` of the narration begins a phrase like "the old gentleman"."""

    at: int
    noun: str
    gender: str


class SubjectReader:
    """Reads noun phrases of one page."""

    def __init__(self, page: Page, named: list[Named], cast: KnownCast) -> None:
        self._page = page
        self._cast = cast
        self._at = {mention.first: mention for mention in named}
        lists = lexicon()
        self._verbs = lists.of("speech", "strong") | lists.of("speech", "weak")
        self._adjectives = lists.of("grammar", "adjectives")
        self._stop = lists.of("grammar", "stop") | lists.of("verbs", "be")
        self._stop |= lists.of("verbs", "auxiliary")
        self._prepositions = lists.of("grammar", "prepositions")
        self._genders = {noun: "unknown" for noun in lists.of("names", "roles_open")}
        self._genders |= {noun: "he" for noun in lists.of("names", "roles_he")}
        self._genders |= {noun: "she" for noun in lists.of("names", "roles_she")}
        self._genders |= {noun: "unknown" for noun in ("friend", "cousin", "visitor")}

    def find_unnamed(self) -> list[Unnamed]:
        """Return who is meant in the narration by what they are, not by name, in order."""
        page, found = self._page, []
        for i, low in enumerate(page.low):
            if page.quote[i] >= 0 or low not in ("the", "a", "an"):
                continue
            phrase = self._noun_phrase(i, page.bounds[page.para[i]][1])
            if phrase and phrase.kind == "noun" and phrase.noun in self._genders:
                found.append(Unnamed(i, phrase.noun, phrase.gender))
        return found

    def may_act(self, found: Subject, i: int, settled: Subject | None) -> bool:
        """Say whether a noun phrase before a speech may be who acts, not what is acted upon."""
        before = self._page.low[i - 1] if i else ""
        if before in self._prepositions:
            return False
        return found.kind != "noun" or settled is None or found.noun in self._genders

    def read(self, i: int, last: int) -> Subject | None:
        """Return the noun phrase that begins at word `i`."""
        if i >= last:
            return None
        if i in self._at:
            mention = self._at[i]
            return Subject("named", mention.who, "", "", mention.last, mention.possessive)
        low = self._page.low[i]
        if low in ("he", "she"):
            return Subject("pronoun", None, "", low, i + 1, False)
        if self._page.word[i] == "I":
            known = self._cast.narrator is not None
            kind: Kind = "narrator" if known else "other"
            return Subject(kind, self._cast.narrator, "", "", i + 1, False)
        if low in _NOBODY:
            return Subject("other", None, low, "", i + 1, False)
        return self._noun_phrase(i, last) if low in _DETERMINERS else None

    def _noun_phrase(self, i: int, last: int) -> Subject | None:
        """Read "the old gentleman", "her sister Jane", "the child's nurse" from its article on."""
        page, head = self._page, None
        j, limit = i + 1, min(last, i + 1 + NOUN_REACH)
        while j < limit:
            low = page.low[j]
            if j in self._at:
                mention = self._at[j]
                return Subject("named", mention.who, "", "", mention.last, mention.possessive)
            if not page.word[j][0].isalpha():
                if page.word[j] == "," and head is not None and head in self._adjectives:
                    j, limit = j + 1, min(last, limit + 2)
                    continue
                break
            if low in self._stop or low in self._verbs or low.endswith("ly"):
                break
            if low.endswith("'s"):
                head = None
                limit = min(last, limit + 1)
            else:
                head = low
            j += 1
            if head in self._genders and not (j < last and page.low[j] in self._genders):
                break
        if head is None:
            return None
        gender = self._genders.get(head, "unknown")
        return Subject("noun", None, head, gender, j, False, _ARTICLES.get(page.low[i], "whose"), i)
