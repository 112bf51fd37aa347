"""The whole book: totals, relations and importance."""

import hashlib
import math
from collections import Counter, defaultdict

from models.reading import (
    Actions,
    BookFacts,
    CastList,
    CastMember,
    Chapter,
    ChapterReading,
    Character,
    Mention,
    Quote,
    Reading,
    Tie,
)

# A speech counts as much as this many times being named; after the share of both in main roles.
SPEECH_WEIGHT = 2.0
TURN_WEIGHT, ADDRESS_WEIGHT, KIN_WEIGHT = 2, 2, 3  # against one shared paragraph


def summarise(
    text: str,
    chapters: list[Chapter],
    cast: CastList,
    readings: list[ChapterReading],
    version: str,
) -> Reading:
    """Put the chapters of a book together."""
    ordered = sorted(readings, key=lambda reading: reading.chapter)
    quotes = [quote for reading in ordered for quote in reading.quotes]
    mentions = [mention for reading in ordered for mention in reading.mentions]
    return Reading(
        book=BookFacts(
            language=cast.language,
            quote_style=cast.quote_style,
            narration=cast.narration,
            backend="builtin",
            version=version,
            tokens=sum(reading.tokens for reading in ordered),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        ),
        chapters=chapters,
        characters=_characters(cast, ordered, quotes, mentions),
        quotes=quotes,
        mentions=mentions,
        relations=_relations(ordered),
    )


def _characters(
    cast: CastList,
    readings: list[ChapterReading],
    quotes: list[Quote],
    mentions: list[Mention],
) -> list[Character]:
    named = Counter(m.character for m in mentions if m.kind != "pronoun")
    pronouns = Counter(m.character for m in mentions if m.kind == "pronoun")
    spoken, words = _speech(quotes)
    actions, seen = _actions(readings), _chapters(readings)
    weight = {m.id: _weight(m, named[m.id], pronouns[m.id], spoken[m.id]) for m in cast.members}
    most = max(weight.values(), default=1.0) or 1.0
    found = [
        Character(
            **member.model_dump(exclude={"role"}),
            mentions=named[member.id],
            pronoun_mentions=pronouns[member.id],
            quotes=spoken[member.id],
            words_spoken=words[member.id],
            first_chapter=min(seen[member.id], default=0),
            last_chapter=max(seen[member.id], default=0),
            importance=round(weight[member.id] / most, 4),
            actions=actions.get(member.id, Actions()),
        )
        for member in cast.members
    ]
    return sorted(found, key=lambda c: (-c.importance, c.id))


def _speech(quotes: list[Quote]) -> tuple[Counter[int], Counter[int]]:
    """Return quotes and words by speaker."""
    spoken, words = Counter[int](), Counter[int]()
    for quote in quotes:
        if quote.speaker is not None:
            spoken[quote.speaker] += 1
            words[quote.speaker] += len(quote.text.split())
    return spoken, words


def _weight(member: CastMember, named: int, pronouns: int, spoken: int) -> float:
    """Return how much of the book somebody takes up; a narrator's own I counts little."""
    told = math.sqrt(pronouns) if member.is_narrator else pronouns / 2
    return named + told + SPEECH_WEIGHT * spoken


def _actions(readings: list[ChapterReading]) -> dict[int, Actions]:
    found: dict[int, Actions] = defaultdict(Actions)
    for reading in readings:
        for who, actions in reading.actions.items():
            whole = found[who]
            whole.agent.extend(actions.agent)
            whole.patient.extend(actions.patient)
            whole.poss.extend(actions.poss)
            whole.mod.extend(actions.mod)
    return found


def _chapters(readings: list[ChapterReading]) -> dict[int, set[int]]:
    seen: dict[int, set[int]] = defaultdict(set)
    for reading in readings:
        for mention in reading.mentions:
            seen[mention.character].add(reading.chapter)
        for quote in reading.quotes:
            if quote.speaker is not None:
                seen[quote.speaker].add(reading.chapter)
    return seen


def _relations(readings: list[ChapterReading]) -> list[Tie]:
    together: dict[tuple[int, int], list[Tie]] = defaultdict(list)
    for tie in (tie for reading in readings for tie in reading.ties):
        together[tie.a, tie.b].append(tie)
    whole = [_sum(pair, ties) for pair, ties in together.items()]
    return sorted(whole, key=lambda tie: (-_strength(tie), tie.a, tie.b))


def _sum(pair: tuple[int, int], ties: list[Tie]) -> Tie:
    kin: Counter[str] = Counter()
    for tie in ties:
        kin.update(tie.kin)
    return Tie(
        a=pair[0],
        b=pair[1],
        co_paragraph=sum(tie.co_paragraph for tie in ties),
        turns=sum(tie.turns for tie in ties),
        address=sum(tie.address for tie in ties),
        kin=dict(kin.most_common()),
        chapters=sorted({chapter for tie in ties for chapter in tie.chapters}),
    )


def _strength(tie: Tie) -> int:
    spoken = TURN_WEIGHT * tie.turns + ADDRESS_WEIGHT * tie.address
    return tie.co_paragraph + spoken + KIN_WEIGHT * sum(tie.kin.values())
