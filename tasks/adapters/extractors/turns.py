"""Turns of dialogue, and what the narration around each says about its speaker.

A turn is the direct speech of one paragraph, or a part of it where the narration names a second
speaker. Patterns of a cue: VS "said he", SV "he said", SVfar "he … said", SVq 'he said, "…' and
SVp 'he said. "…' before the speech; beat_* is a subject without a verb of speech.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .lexicon import lexicon
from .mentions import KnownCast, Named
from .page import Page
from .runs import is_call

Kind = Literal["named", "pronoun", "narrator", "noun", "other"]
SUBJECT_REACH = 14  # words between a subject and its verb of speech
CLOSE_REACH = 4
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


class Unnamed(NamedTuple):
    """Word `at` of the narration begins a phrase like "the old gentleman"."""

    at: int
    noun: str
    gender: str


class Cue(NamedTuple):
    """A subject, its verb of speech if there is one, and how they stand."""

    subject: Subject
    verb: str | None
    pattern: str


@dataclass(slots=True)
class Turn:
    """Direct speech of one speaker."""

    para: int
    quotes: list[int]
    first: int  # its first word on the page
    goes_on: bool = False
    cues: list[Cue] = field(default_factory=list)
    beats: list[Cue] = field(default_factory=list)
    lead: Cue | None = None
    narrated: list[Named] = field(default_factory=list)  # named around the speech
    called: list[int] = field(default_factory=list)  # addressed inside of it
    inside: list[int] = field(default_factory=list)  # named inside of it

    @property
    def speaker(self) -> int | None:
        """Return who speaks by the narration's word: "said Jane", or "said I" of a narrator."""
        subject = self.cues[0].subject if self.cues else None
        return subject.who if subject and subject.kind in ("named", "narrator") else None


class _Segment(NamedTuple):
    """Words `first` to `last` of a paragraph, in speech `quote` or in the narration (-1)."""

    quote: int
    first: int
    last: int


class TurnFinder:
    """Finds the turns of one page."""

    def __init__(self, page: Page, named: list[Named], cast: KnownCast) -> None:
        self._page = page
        self._cast = cast
        self._at = {mention.first: mention for mention in named}
        self.narrated: dict[int, list[Named]] = defaultdict(list)
        self._spoken: dict[int, list[Named]] = defaultdict(list)
        for mention in named:
            here = self._spoken if page.quote[mention.first] >= 0 else self.narrated
            here[page.para[mention.first]].append(mention)
        lists = lexicon()
        self._lists = lists
        self._verbs = lists.of("speech", "strong") | lists.of("speech", "weak")
        self._adjectives = lists.of("grammar", "adjectives")
        self._stop = lists.of("grammar", "stop")
        self._prepositions = lists.of("grammar", "prepositions")
        self._genders = {noun: "unknown" for noun in lists.of("names", "roles_open")}
        self._genders |= {noun: "he" for noun in lists.of("names", "roles_he")}
        self._genders |= {noun: "she" for noun in lists.of("names", "roles_she")}
        self._genders |= {noun: "unknown" for noun in ("friend", "cousin", "visitor")}

    def find(self) -> list[Turn]:
        """Return the turns in order."""
        turns: list[Turn] = []
        for para, speeches in enumerate(self._page.speeches):
            if speeches:
                turns += self._turns_of(para)
        return turns

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

    def _turns_of(self, para: int) -> list[Turn]:
        first, last = self._page.bounds[para]
        segments = self._segments(first, last)
        turn = self._new_turn(para, first)
        turn.goes_on = self._page.goes_on[para]
        turns = [turn]
        for place, segment in enumerate(segments):
            if segment.quote < 0:
                self._read_narration(turns[-1], segments, place)
                continue
            if self._second_speaker(turns[-1], segments, place):
                turns.append(self._new_turn(para, segment.first))
            turns[-1].quotes.append(segment.quote)
            self._read_speech(turns[-1], segment)
        if not turn.cues:
            turn.lead = self._lead_in(para, segments)
        return [t for t in turns if t.quotes]

    def _new_turn(self, para: int, first: int) -> Turn:
        return Turn(para=para, quotes=[], first=first, narrated=list(self.narrated[para]))

    def _segments(self, first: int, last: int) -> list[_Segment]:
        found, i = [], first
        while i < last:
            j = i
            while j < last and self._page.quote[j] == self._page.quote[i]:
                j += 1
            found.append(_Segment(self._page.quote[i], i, j))
            i = j
        return found

    def _read_speech(self, turn: Turn, segment: _Segment) -> None:
        for mention in self._spoken[turn.para]:
            if self._page.quote[mention.first] != segment.quote:
                continue
            turn.inside.append(mention.who)
            alone = is_call(self._page, mention.first, mention.last, self._lists)
            if alone and not mention.possessive and not mention.role:
                turn.called.append(mention.who)

    def _read_narration(self, turn: Turn, segments: list[_Segment], place: int) -> None:
        segment = segments[place]
        if place > 0:
            self._add(turn, self._cue_after(segment.first, segment.last))
        if place + 1 < len(segments):
            cue = self._cue_before(segment.first, segment.last)
            if cue and (not turn.cues or cue.pattern == "SVq"):
                self._add(turn, cue)

    @staticmethod
    def _add(turn: Turn, cue: Cue | None) -> None:
        if cue:
            (turn.cues if cue.verb else turn.beats).append(cue)

    def _second_speaker(self, turn: Turn, segments: list[_Segment], place: int) -> bool:
        """Say whether another named speaker takes over at segment `place` of a paragraph."""
        if not turn.quotes or not turn.cues or place + 1 >= len(segments):
            return False
        settled = turn.cues[0].subject
        after = segments[place + 1]
        cue = self._cue_after(after.first, after.last)
        if cue is None or cue.verb is None or cue.pattern == "SVfar":
            return False
        sure = ("named", "narrator")
        if settled.kind not in sure or cue.subject.kind not in sure:
            return False
        return settled.who != cue.subject.who

    def _lead_in(self, para: int, segments: list[_Segment]) -> Cue | None:
        """Return the end of a paragraph without speech that announces the speech after it."""
        if para == 0 or not segments or segments[0].quote < 0 or self._page.speeches[para - 1]:
            return None
        first, last = self._page.bounds[para - 1]
        if last > first and self._page.word[last - 1] in (":", ","):
            return self._cue_before(first, last)
        return None

    def _cue_after(self, first: int, last: int) -> Cue | None:
        """Read the narration right after a speech."""
        page, i = self._page, first
        while i < last and not page.word[i][0].isalpha():
            if page.word[i] == ".":
                return None
            i += 1
        if i >= last:
            return None
        if page.low[i] in self._verbs:
            return self._inverted(i, last)
        subject = self._subject(i, last)
        if subject is None or subject.possessive:
            return None
        for j in range(subject.next, min(last, subject.next + SUBJECT_REACH)):
            if page.low[j] in self._verbs:
                close = j - subject.next < CLOSE_REACH
                return Cue(subject, page.low[j], "SV" if close else "SVfar")
            if page.word[j] in (".", ";", "!", "?"):
                break
        return Cue(subject, None, "beat_after")

    def _inverted(self, verb: int, last: int) -> Cue | None:
        """Read "said he", "said at last the stranger"."""
        for i in range(verb + 1, min(verb + 4, last)):
            subject = self._subject(i, last)
            if subject:
                return Cue(subject, self._page.low[verb], "VS")
            if not self._page.word[i][0].isalpha():
                return None
        return None

    def _cue_before(self, first: int, last: int) -> Cue | None:
        """Read the last sentence of the narration right before a speech."""
        page = self._page
        ending = page.word[last - 1]
        start = next(
            (i + 1 for i in range(last - 2, first - 1, -1) if page.word[i] in (".", "!", "?", ";")),
            first,
        )
        opener: Subject | None = None
        subject: Subject | None = None
        best: Cue | None = None
        leads = ending in (",", ":", "—") or ending.startswith("--")
        i = start
        while i < last:
            found = self._subject(i, last)
            if found:
                if not found.possessive and self._may_act(found, i, subject):
                    subject, opener = found, opener or found
                i = max(i + 1, found.next)
                continue
            if page.low[i] in self._verbs and subject:
                best = Cue(subject, page.low[i], "SVq" if leads else "SVp")
            i += 1
        if best or opener is None:
            return best
        return Cue(opener, None, "beat_colon" if ending in (",", ":") else "beat_before")

    def _may_act(self, found: Subject, i: int, settled: Subject | None) -> bool:
        """Say whether a noun phrase before a speech may be who acts, not what is acted upon."""
        before = self._page.low[i - 1] if i else ""
        if before in self._prepositions:
            return False
        return found.kind != "noun" or settled is None or found.noun in self._genders

    def _subject(self, i: int, last: int) -> Subject | None:
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
        return Subject("noun", None, head, gender, j, False, _ARTICLES.get(page.low[i], "whose"))


def named_words(turn: Turn) -> Iterator[Named]:
    """Yield who is named around a turn, not counting owners ("Jane's sister")."""
    return (mention for mention in turn.narrated if not mention.possessive)
