"""LitBank as questions with answers: which candidates of each turn are right."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from models.text import find_chapters
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.chapter import prepare
from tasks.adapters.extractors.features import Question, Who
from tasks.adapters.extractors.mentions import KnownCast
from tasks.adapters.extractors.names import normal

from .litbank import MINE, Document, GoldQuote


@dataclass(frozen=True, slots=True)
class Asked:
    """The turns of one work; item i of `right` holds the right candidates of question i (None:
    not annotated), `speaker` the annotated entity, and `spans` where its quotes are. Chapters are
    read one by one; the last question of each is before an item of `chapter_ends`."""

    name: str
    questions: list[Question]
    right: list[frozenset[Who] | None]
    speaker: list[str | None]
    spans: list[list[tuple[int, int]]]
    chapter_ends: list[int] = field(default_factory=list)

    def chapters(self) -> Iterator["Asked"]:
        """Yield the chapters as works of their own."""
        for start, end in pairwise([0, *(self.chapter_ends or [len(self.questions)])]):
            part = slice(start, end)
            yield Asked(
                self.name,
                self.questions[part],
                self.right[part],
                self.speaker[part],
                self.spans[part],
            )


def ask(document: Document) -> Asked:
    """Read a work and look up the answers."""
    extractor, text = BuiltinExtractor(), document.text
    chapters = find_chapters(text)
    chapters[0] = chapters[0].model_copy(update={"start": 0, "body": 0})
    cast = extractor.cast([extractor.scan(text, chapter) for chapter in chapters])
    names = {
        member.id: {normal(a.split()) for a in [*member.aliases, member.name]}
        for member in cast.members
    }
    asked = Asked(document.name, [], [], [], [])
    for chapter in chapters:
        prepared = prepare(text, chapter, cast)
        for question in prepared.questions:
            spans = [prepared.page.spans[q][:2] for q in question.turn.quotes]
            gold = _gold(document, spans)
            asked.questions.append(question)
            asked.spans.append(list(spans))
            asked.speaker.append(gold.speaker if gold else None)
            right = _right(question, gold, names, prepared.cast) if gold else None
            asked.right.append(right)
        asked.chapter_ends.append(len(asked.questions))
    return asked


def _gold(document: Document, spans: list[tuple[int, int]]) -> GoldQuote | None:
    """Return the annotated quotation that overlaps most."""
    best: tuple[int, GoldQuote] | None = None
    for quote in document.quotes:
        shared = sum(max(0, min(end, quote.end) - max(start, quote.start)) for start, end in spans)
        if shared and quote.speaker and (best is None or shared > best[0]):
            best = (shared, quote)
    return best[1] if best else None


def _right(
    question: Question, gold: GoldQuote, names: dict[int, set[str]], cast: KnownCast
) -> frozenset[Who]:
    """Return the right candidates: a noun ("the girl") only where no name ("Mary") is right."""
    right = {w for w in question.candidates if is_right(w, gold.names, names, cast.narrator)}
    return frozenset({w for w in right if isinstance(w, int)} or right)


def is_right(
    who: Who, gold: frozenset[str], names: dict[int, set[str]], narrator: int | None
) -> bool:
    """Say whether a candidate is called as the annotated speaker is."""
    phrases = {normal(phrase.split()) for phrase in gold}
    if isinstance(who, str):
        return any(phrase.split()[-1:] == [who] for phrase in phrases)
    if who == narrator and phrases & MINE:
        return True
    mine = {name.removeprefix("the ") for name in names[who]}
    theirs = {phrase.removeprefix("the ") for phrase in phrases}
    if mine & theirs:
        return True
    words = {word for phrase in phrases for word in phrase.split()}
    return any(len(name) > 3 and name in words for name in mine)
