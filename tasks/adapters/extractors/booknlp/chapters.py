"""BookNLP's output in our own form, chapter by chapter."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations, pairwise

from models.reading import (
    Actions,
    Candidate,
    CastList,
    Chapter,
    ChapterReading,
    Mention,
    MentionKind,
    Quote,
    QuoteType,
    Tie,
    WordRef,
)

from .output import LISTS, Output, Speech

_KINDS: dict[str, MentionKind] = {"PROP": "name", "NOM": "role", "PRON": "pronoun"}
# BookNLP gives no probabilities. These are how often its big model is right, by type, on the 22
# novels of PDNC for which its outputs are published.
CONFIDENCE: dict[QuoteType, float] = {"explicit": 0.84, "anaphoric": 0.55, "implicit": 0.37}
ANSWER_PARAGRAPHS = 3  # a speech this near is taken for spoken to whoever spoke before
CROWD = 8  # a paragraph that names more people than this ties nobody


class ChapterCutter:
    """Cuts a merged output into chapters. `text` is what BookNLP was given, whole."""

    def __init__(
        self,
        text: str,
        chapters: list[Chapter],
        output: Output,
        cast: CastList,
        member_of: dict[int, int],
    ) -> None:
        self._text = text
        self._chapters = chapters
        self._tokens = output.tokens
        self._member_of = member_of
        self._name = {one.id: one.name for one in cast.members}
        self._starts = [chapter.start for chapter in chapters]
        self._prop = {(e.first, e.last): e.prop for e in output.entities}
        self._mentions = self._all_mentions(output)
        self._quotes = self._all_quotes(output.speeches)
        self._actions = self._all_actions(output)

    def cut(self) -> list[ChapterReading]:
        """Return the chapters' readings, in order."""
        sizes = Counter(self._chapter(token.start) for token in self._tokens)
        return [
            ChapterReading(
                chapter=chapter.index,
                tokens=sizes[place],
                mentions=sorted(mention for _, mention in self._mentions[place]),
                quotes=[quote for _, quote in self._quotes[place]],
                actions=self._actions[place],
                ties=self._ties(place),
            )
            for place, chapter in enumerate(self._chapters)
        ]

    def _chapter(self, offset: int) -> int:
        """Return the place of the chapter at a character; -1 before the first."""
        place = bisect_right(self._starts, offset) - 1
        return place if place >= 0 and offset < self._chapters[place].end else -1

    def _all_mentions(self, output: Output) -> dict[int, list[tuple[int, Mention]]]:
        """Return (paragraph, mention) by chapter."""
        found: dict[int, list[tuple[int, Mention]]] = defaultdict(list)
        for entity in output.entities:
            who = self._member_of.get(entity.cluster)
            if who is None or entity.kind != "PER":
                continue
            first, last = self._tokens[entity.first], self._tokens[entity.last]
            mention = Mention(first.start, last.end, who, _KINDS[entity.prop])
            found[self._chapter(first.start)].append((first.paragraph, mention))
        return found

    def _all_quotes(self, speeches: list[Speech]) -> dict[int, list[tuple[int, Quote]]]:
        """Return (paragraph, quotation) by chapter, in order."""
        found: dict[int, list[tuple[int, Quote]]] = defaultdict(list)
        who = [self._member_of.get(s.cluster) if s.cluster is not None else None for s in speeches]
        for number, speech in enumerate(speeches):
            place = self._chapter(self._tokens[speech.first].start)
            if place >= 0:
                quote = self._quote(speeches, who, number, self._chapters[place].index)
                found[place].append((self._tokens[speech.first].paragraph, quote))
        return found

    def _quote(
        self, speeches: list[Speech], who: list[int | None], number: int, chapter: int
    ) -> Quote:
        speech, speaker = speeches[number], who[number]
        start, end = self._tokens[speech.first].start, self._tokens[speech.last].end
        kind = self._type(speech)
        name = self._phrase(speech) if speaker is None else self._name[speaker]
        sure = CONFIDENCE[kind] if name else 0.0
        return Quote(
            start=start,
            end=end,
            chapter=chapter,
            text=self._text[start:end],
            speaker=speaker,
            speaker_name=name,
            addressees=self._addressees(speeches, who, number),
            type=kind,
            cue=self._cue(speech),
            confidence=sure,
            candidates=[Candidate(speaker, name, sure)] if name else [],
        )

    def _phrase(self, speech: Speech) -> str | None:
        """Return what somebody outside the cast is called: "the waiter", but not "he"."""
        named = speech.mention and self._prop.get(speech.mention) != "PRON"
        return speech.phrase if named else None

    def _type(self, speech: Speech) -> QuoteType:
        """Say how the speaker is referred to: a mention in another paragraph is no cue."""
        if speech.mention is None or not self._beside(speech, speech.mention):
            return "implicit"
        return "explicit" if self._prop.get(speech.mention) == "PROP" else "anaphoric"

    def _beside(self, speech: Speech, mention: tuple[int, int]) -> bool:
        here = {self._tokens[speech.first].paragraph, self._tokens[speech.last].paragraph}
        return self._tokens[mention[0]].paragraph in here

    def _cue(self, speech: Speech) -> str | None:
        """Return the verb right before or behind the mention that a speech is given to."""
        if speech.mention is None or not self._beside(speech, speech.mention):
            return None
        first, last = speech.mention
        beside = [self._tokens[i] for i in (last + 1, first - 1) if 0 <= i < len(self._tokens)]
        return next((token.word.lower() for token in beside if token.pos == "VERB"), None)

    def _addressees(self, speeches: list[Speech], who: list[int | None], number: int) -> list[int]:
        """Return who spoke nearby: BookNLP itself does not tell who is spoken to."""
        here = self._tokens[speeches[number].first].paragraph
        for other in (number - 1, number + 1):
            if not 0 <= other < len(speeches):
                continue
            gap = abs(self._tokens[speeches[other].first].paragraph - here)
            speaker = who[other]
            if gap <= ANSWER_PARAGRAPHS and speaker is not None and speaker != who[number]:
                return [speaker]
        return []

    def _all_actions(self, output: Output) -> dict[int, dict[int, Actions]]:
        """Return the actions by chapter and member; a word that two clusters share counts once."""
        found: dict[int, dict[int, Actions]] = defaultdict(lambda: defaultdict(Actions))
        refs = {
            (place, name, self._member_of[one.id], word.lower())
            for one in output.people
            if one.id in self._member_of
            for name in LISTS
            for word, place in one.lists[name]
        }
        for place, name, who, word in sorted(refs):
            start = self._tokens[place].start
            getattr(found[self._chapter(start)][who], name).append(WordRef(word, start))
        return found

    def _ties(self, place: int) -> list[Tie]:
        together, turns = _together(self._mentions[place]), _turns(self._quotes[place])
        address = Counter(
            _pair(quote.speaker, to)
            for _, quote in self._quotes[place]
            for to in quote.addressees
            if quote.speaker is not None
        )
        return [
            Tie(
                a=pair[0],
                b=pair[1],
                co_paragraph=together[pair],
                turns=turns[pair],
                address=address[pair],
            )
            for pair in sorted(together.keys() | turns.keys() | address.keys())
        ]


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _together(mentions: Iterable[tuple[int, Mention]]) -> Counter[tuple[int, int]]:
    """Count the paragraphs that name two people both."""
    named: dict[int, set[int]] = defaultdict(set)
    for paragraph, mention in mentions:
        if mention.kind != "pronoun":
            named[paragraph].add(mention.character)
    counts: Counter[tuple[int, int]] = Counter()
    for people in named.values():
        if len(people) <= CROWD:
            counts.update(combinations(sorted(people), 2))
    return counts


def _turns(quotes: list[tuple[int, Quote]]) -> Counter[tuple[int, int]]:
    """Count the speeches that answer one another."""
    counts: Counter[tuple[int, int]] = Counter()
    for (here, one), (there, other) in pairwise(quotes):
        if one.speaker is None or other.speaker is None or one.speaker == other.speaker:
            continue
        if there - here <= ANSWER_PARAGRAPHS:
            counts[_pair(one.speaker, other.speaker)] += 1
    return counts
