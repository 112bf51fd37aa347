"""Turns of dialogue, and what the narration around each says about its speaker.

A turn is the direct speech of one paragraph, or a part of it where the narration names a second
speaker. Patterns of a cue: VS "said he", SV "he said", SVfar "he … said", SVq 'he said, "…' and
SVp 'he said. "…' before the speech; beat_* is a subject without a verb of speech.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from .lexicon import lexicon
from .mentions import KnownCast, Named
from .page import Page
from .runs import is_call
from .subjects import Subject, SubjectReader

SUBJECT_REACH = 14  # words between a subject and its verb of speech
CLOSE_REACH = 4


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
        self.narrated: dict[int, list[Named]] = defaultdict(list)
        self._spoken: dict[int, list[Named]] = defaultdict(list)
        for mention in named:
            here = self._spoken if page.quote[mention.first] >= 0 else self.narrated
            here[page.para[mention.first]].append(mention)
        self._lists = lexicon()
        self._verbs = self._lists.of("speech", "strong") | self._lists.of("speech", "weak")
        self._subjects = SubjectReader(page, named, cast)

    def find(self) -> list[Turn]:
        """Return the turns in order."""
        turns: list[Turn] = []
        for para, speeches in enumerate(self._page.speeches):
            if speeches:
                turns += self._turns_of(para)
        return turns

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
        subject = self._subjects.read(i, last)
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
            subject = self._subjects.read(i, last)
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
            found = self._subjects.read(i, last)
            if found:
                if not found.possessive and self._subjects.may_act(found, i, subject):
                    subject, opener = found, opener or found
                i = max(i + 1, found.next)
                continue
            if page.low[i] in self._verbs and subject:
                best = Cue(subject, page.low[i], "SVq" if leads else "SVp")
            i += 1
        if best or opener is None:
            return best
        return Cue(opener, None, "beat_colon" if ending in (",", ":") else "beat_before")
