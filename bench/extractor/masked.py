"""Questions without an annotator: named speakers of public-domain novels, hidden again.

Where a novel says "said Elizabeth", the name is taken away (the turn becomes implicit) or turned
into a pronoun (anaphoric), and the answer is known. So whole novels serve for training and for
measuring, with their whole casts; the turns hidden are not quite those an author leaves open.
"""

import random
from pathlib import Path

from models.text import find_chapters, normalise
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.features import FeatureMaker, Who
from tasks.adapters.extractors.mentions import KnownCast, Named, find_named, know
from tasks.adapters.extractors.page import Page, read_page
from tasks.adapters.extractors.pronouns import resolve_pronouns
from tasks.adapters.extractors.turns import Cue, Turn, TurnFinder

from .questions import Asked

HIDDEN_SHARE = 0.3  # of the named turns; most of the context has to stay
PRONOUN_SHARE = 0.5  # of the hidden ones: a pronoun stays
NAMED = ("VS", "SV")


def load_masked(folder: Path, seed: int = 5) -> list[Asked]:
    """Return the questions of every novel of a folder, some of their speakers hidden."""
    choose = random.Random(seed)
    return [_mask(path, choose) for path in sorted(folder.glob("*.txt"))]


def _mask(path: Path, choose: random.Random) -> Asked:
    text = normalise(path.read_text(encoding="utf-8"))
    extractor, chapters = BuiltinExtractor(), find_chapters(text)
    cast = extractor.cast([extractor.scan(text, chapter) for chapter in chapters])
    known = know(cast)
    asked = Asked(path.stem, [], [], [], [])
    for chapter in chapters:
        _ask_chapter(asked, read_page(text, chapter, cast.quote_style), known, choose)
    return asked


def _ask_chapter(asked: Asked, page: Page, known: KnownCast, choose: random.Random) -> None:
    """Add the questions of one chapter."""
    named = find_named(page, known)
    turns = TurnFinder(page, named, known).find()
    truth = [_hide(turn, named, known, choose) for turn in turns]
    kept = [m for m in named if not any(m in taken for _, taken in truth)]
    also = {
        turn.cues[0].subject.next - 1: turn.cues[0].subject.gender
        for turn, (_, taken) in zip(turns, truth, strict=True)
        if taken and turn.cues
    }
    meant = resolve_pronouns(page, kept, known, also)
    questions = FeatureMaker(page, kept, meant, turns, known).make()
    for question, (who, hidden) in zip(questions, truth, strict=True):
        right: frozenset[Who] | None = None
        if who is not None and (hidden or question.kind == "Xnamed"):
            right = frozenset({who}) & question.candidates.keys()
        asked.questions.append(question)
        asked.right.append(right)
        asked.speaker.append(None if who is None else str(who))
        asked.spans.append([page.spans[q][:2] for q in question.turn.quotes])
    asked.chapter_ends.append(len(asked.questions))


def _hide(
    turn: Turn, named: list[Named], cast: KnownCast, choose: random.Random
) -> tuple[int | None, list[Named]]:
    """Perhaps take the speaker's name out of a turn; return who it is and what was taken."""
    cue = turn.cues[0] if turn.cues else None
    if cue is None or cue.subject.kind != "named" or cue.pattern not in NAMED:
        return None, []
    who = cue.subject.who
    if choose.random() > HIDDEN_SHARE or who is None:
        return who, []
    hidden = [m for m in turn.narrated if m.last == cue.subject.next]
    turn.narrated = [m for m in turn.narrated if m not in hidden]
    gender = cast.gender[who]
    if gender in ("he", "she") and choose.random() < PRONOUN_SHARE:
        subject = cue.subject._replace(kind="pronoun", who=None, gender=gender)
        turn.cues = [Cue(subject, cue.verb, cue.pattern)]
    else:
        turn.cues, turn.beats = [], []
    return who, hidden
