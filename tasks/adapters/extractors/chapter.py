"""One chapter read with the cast known: who is named, who speaks, who does what."""

from collections.abc import Mapping
from typing import NamedTuple

from models.reading import (
    Candidate,
    CastList,
    Chapter,
    ChapterReading,
    Mention,
    Quote,
    QuoteType,
)

from .actions import ActionReader
from .decoder import Decoder
from .features import FeatureMaker, Question, Who
from .lexicon import weights
from .mentions import KnownCast, Named, find_named, know
from .page import Page, read_page
from .pronouns import Meant, resolve_pronouns
from .ties import find_ties
from .turns import TurnFinder

CANDIDATES = 3  # kept per quote
ANSWER_PARAGRAPHS = 3  # a turn this near is taken to be spoken to whoever spoke before


class Prepared(NamedTuple):
    """A chapter with everything known but the speakers."""

    page: Page
    cast: KnownCast
    named: list[Named]
    meant: list[Meant]
    questions: list[Question]


def prepare(text: str, chapter: Chapter, cast: CastList) -> Prepared:
    """Find the turns of a chapter and who may have spoken them."""
    page, known = read_page(text, chapter, cast.quote_style), know(cast)
    named = find_named(page, known)
    meant = resolve_pronouns(page, named, known)
    turns = TurnFinder(page, named, known).find()
    questions = FeatureMaker(page, named, meant, turns, known).make()
    return Prepared(page, known, named, meant, questions)


def read_chapter(
    text: str, chapter: Chapter, cast: CastList, trained: Mapping[str, float] | None = None
) -> ChapterReading:
    """Read one chapter."""
    page, known, named, meant, questions = prepare(text, chapter, cast)
    quotes = attribute(text, page, chapter.index, questions, known, trained)
    return ChapterReading(
        chapter=chapter.index,
        tokens=len(page),
        mentions=_mentions(page, named, meant),
        quotes=quotes,
        actions=ActionReader(page).read(named, meant),
        ties=find_ties(page, chapter.index, named, meant, quotes),
    )


def _mentions(page: Page, named: list[Named], meant: list[Meant]) -> list[Mention]:
    found = [
        Mention(page.start[n.first], _end(page, n), n.who, "role" if n.role else "name")
        for n in named
    ]
    found += [Mention(page.start[m.at], page.end(m.at), m.who, "pronoun") for m in meant]
    return sorted(found)


def _end(page: Page, named: Named) -> int:
    """Return where a name ends, without its possessive ending."""
    last = named.last - 1
    return page.end(last) - (2 if named.possessive else 0)


def attribute(
    text: str,
    page: Page,
    chapter: int,
    questions: list[Question],
    cast: KnownCast,
    trained: Mapping[str, float] | None = None,
) -> list[Quote]:
    """Return the quotes of a chapter with their speakers, in order."""
    decoder = Decoder(questions, weights() if trained is None else trained)
    speakers = decoder.best()
    found = []
    for place, (question, speaker) in enumerate(zip(questions, speakers, strict=True)):
        ranked = decoder.ranked[place]
        shared = {
            "chapter": chapter,
            "speaker": speaker if isinstance(speaker, int) else None,
            "speaker_name": _name(speaker, cast),
            "addressees": _addressees(questions, speakers, place),
            "type": _type(question),
            "cue": question.turn.cues[0].verb if question.turn.cues else None,
            "confidence": round(sum(p for who, p in ranked if who == speaker), 3),
            "candidates": [_candidate(who, p, cast) for who, p in ranked[:CANDIDATES]],
        }
        spans = [page.spans[number] for number in question.turn.quotes]
        found += [
            Quote.model_validate(
                {"start": s.start, "end": s.end, "text": text[s.start : s.end], **shared}
            )
            for s in spans
        ]
    return found


def _candidate(who: Who, probability: float, cast: KnownCast) -> Candidate:
    known = who if isinstance(who, int) else None
    return Candidate(known, _name(who, cast) or "", round(probability, 3))


def _name(who: Who | None, cast: KnownCast) -> str | None:
    return cast.name[who] if isinstance(who, int) else who


def _type(question: Question) -> QuoteType:
    """Say how the speaker is referred to, after PDNC's three types."""
    if question.kind in ("Xnamed", "Xnarrator"):
        return "explicit"
    return "anaphoric" if question.kind in ("Xpronoun", "Xnoun") else "implicit"


def _addressees(questions: list[Question], speakers: list[Who | None], place: int) -> list[int]:
    """Return who is called in a turn, or else who spoke before."""
    called = [who for who in questions[place].turn.called if who != speakers[place]]
    if called:
        return sorted(set(called))
    for other in (place - 1, place + 1):
        if not 0 <= other < len(questions):
            continue
        gap = abs(questions[other].turn.para - questions[place].turn.para)
        speaker = speakers[other]
        if gap <= ANSWER_PARAGRAPHS and isinstance(speaker, int) and speaker != speakers[place]:
            return [speaker]
    return []
