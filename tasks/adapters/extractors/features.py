"""Who may have spoken each turn, and what speaks for and against each of them.

Feature names are the keys of `data/weights.json`. Prefixes: X a cue with a verb of speech,
L one at the end of the paragraph before, B a beat (a subject without such a verb).
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass

from .lexicon import lexicon
from .mentions import KnownCast, Named
from .page import Page
from .pronouns import Meant
from .subjects import Subject, SubjectReader
from .turns import Cue, Turn

Who = int | str  # a member of the cast, or a noun such as "waiter"
Features = dict[str, float]
Evidence = defaultdict[str, float]
RECENT_PEOPLE = 7
RECENT_MENTIONS = 40
RECENT_PARAGRAPHS = 12
RECENT_MEANT = 3  # people a pronoun stood for
CONVERSATION_TURNS, CONVERSATION_GAP = 8, 3  # turns looked at; paragraphs without speech between
RECENT_NOUNS, NOUN_PARAGRAPHS = 3, 6
SCENE_GAP = 6  # paragraphs without speech that end who is thought to be present
CARRIED = 5  # people of a conversation who stay candidates, however long it goes on


@dataclass(slots=True)
class Question:
    """A turn with its candidates. `kind` tells how its speaker is referred to: 0none, Xnamed …"""

    turn: Turn
    kind: str
    candidates: dict[Who, Features]


class FeatureMaker:
    """Makes the questions of one page."""

    def __init__(
        self,
        page: Page,
        named: list[Named],
        meant: list[Meant],
        turns: list[Turn],
        cast: KnownCast,
    ) -> None:
        self._page = page
        self._cast = cast
        self._turns = turns
        self._told = [m for m in named if page.quote[m.first] < 0]
        self._told_at = [m.first for m in self._told]
        self._by_para: dict[int, list[Named]] = defaultdict(list)
        for mention in self._told:
            self._by_para[page.para[mention.first]].append(mention)
        lists = lexicon()
        self._kin = (
            lists.of("names", "roles_he")
            | lists.of("names", "roles_she")
            | lists.of("names", "roles_open")
        )
        self._here = Counter(mention.who for mention in named)
        self._meant = {m.at: m.who for m in meant}
        self._meant_at = sorted(m.at for m in meant if m.who != cast.narrator)
        self._mine = {page.para[m.at] for m in meant if m.who == cast.narrator}
        self._unnamed = SubjectReader(page, named, cast).find_unnamed()
        self._unnamed_at = [noun.at for noun in self._unnamed]
        self._noun_gender = {noun.noun: noun.gender for noun in self._unnamed}
        self._present: dict[Who, int] = {}  # in this conversation → the turn that last told of them

    def make(self) -> list[Question]:
        """Return one question per turn."""
        return [self._question(place) for place in range(len(self._turns))]

    def gender(self, who: Who) -> str:
        """Return he, she or unknown."""
        if isinstance(who, str):
            return self._noun_gender.get(who, "unknown")
        return self._cast.gender.get(who, "unknown")

    def _question(self, place: int) -> Question:
        turn = self._turns[place]
        found: dict[Who, Evidence] = defaultdict(lambda: defaultdict(float))
        recent = self._recent(turn)
        self._add_recent(found, recent)
        self._add_meant(found, turn)
        self._add_unnamed(found, turn)
        self._add_near(found, turn)
        self._add_neighbours(found, place)
        self._add_carried(found, place)
        self._add_own_words(found, turn)
        prefix, cues = _cues(turn)
        kind = self._add_cues(found, prefix, cues, turn)
        if kind in ("pronoun", "noun"):
            self._add_agreement(found, prefix, cues[0], turn, recent)
        self._add_general(found, prefix, kind)
        return Question(turn, f"{prefix}{kind}", {who: dict(f) for who, f in found.items()})

    def _recent(self, turn: Turn) -> list[tuple[int, int]]:
        """Return who was last named in the narration before a turn, with the paragraphs since."""
        seen: dict[int, int] = {}
        before = bisect_left(self._told_at, turn.first)
        for mention in reversed(self._told[max(0, before - RECENT_MENTIONS) : before]):
            distance = turn.para - self._page.para[mention.first]
            if distance > RECENT_PARAGRAPHS or len(seen) == RECENT_PEOPLE:
                break
            seen.setdefault(mention.who, distance)
        return list(seen.items())

    def _add_meant(self, found: dict[Who, Evidence], turn: Turn) -> None:
        """Add whom the last pronouns of the narration mean."""
        before = bisect_left(self._meant_at, turn.first)
        seen: dict[int, int] = {}
        for at in reversed(self._meant_at[max(0, before - RECENT_MENTIONS) : before]):
            distance = turn.para - self._page.para[at]
            if distance > RECENT_PARAGRAPHS // 2 or len(seen) == RECENT_MEANT:
                break
            seen.setdefault(self._meant[at], distance)
        for rank, (who, distance) in enumerate(seen.items()):
            found[who][f"meant{rank}"] = 1
            found[who]["meant_recency"] = 1 / (1 + distance)

    @staticmethod
    def _add_recent(found: dict[Who, Evidence], recent: list[tuple[int, int]]) -> None:
        for rank, (who, distance) in enumerate(recent):
            found[who][f"recent{min(rank, 4)}"] += 1
            found[who]["recency"] += 1 / (1 + distance)
            if distance == 1:
                found[who]["previous_paragraph"] += 1

    def _add_unnamed(self, found: dict[Who, Evidence], turn: Turn) -> None:
        """Add "the girl", "the landlord" of the last paragraphs."""
        before = bisect_left(self._unnamed_at, turn.first)
        rank: dict[str, int] = {}
        for noun in reversed(self._unnamed[max(0, before - RECENT_NOUNS * 3) : before]):
            distance = turn.para - self._page.para[noun.at]
            if distance > NOUN_PARAGRAPHS or len(rank) == RECENT_NOUNS:
                break
            if noun.noun in rank:
                found[noun.noun]["noun_again"] = 1
                continue
            rank[noun.noun] = len(rank)
            found[noun.noun]["is_noun"] = 1
            found[noun.noun]["noun_recency"] = 1 / (1 + distance)
            found[noun.noun][f"noun_recent{rank[noun.noun]}"] = 1

    def _add_near(self, found: dict[Who, Evidence], turn: Turn) -> None:
        for mention in turn.narrated:
            key = "same_paragraph_owner" if mention.possessive else "same_paragraph"
            found[mention.who][key] += 1
            if self._page.low[mention.first - 1] == "to" and mention.first > turn.first:
                found[mention.who]["spoken_to"] = 1
        for ahead in (1, 2):
            for mention in self._by_para[turn.para + ahead][:2]:
                found[mention.who][f"next{ahead}"] += 0.5

    def _add_neighbours(self, found: dict[Who, Evidence], place: int) -> None:
        """Add who is called, and who is said to speak, in the turns around."""
        for offset in (-2, -1, 1, 2):
            if not 0 <= place + offset < len(self._turns):
                continue
            other = self._turns[place + offset]
            if abs(other.para - self._turns[place].para) > abs(offset) + 2:
                continue
            for who in set(other.called):
                found[who][f"called{offset:+d}"] += 1
            if other.speaker is not None:
                found[other.speaker][f"speaks{offset:+d}"] += 1
        self._add_conversation(found, place)

    def _add_conversation(self, found: dict[Who, Evidence], place: int) -> None:
        """Add who is said to speak elsewhere in the same conversation."""
        for step in (-1, 1):
            at, heard = place + step, set[int]()
            while 0 <= at < len(self._turns) and abs(at - place) <= CONVERSATION_TURNS:
                if abs(self._turns[at].para - self._turns[at - step].para) > CONVERSATION_GAP:
                    break
                speaker = self._turns[at].speaker
                if speaker is not None and speaker not in heard:
                    heard.add(speaker)
                    near = "before" if step < 0 else "after"
                    found[speaker][f"spoke_{near}"] += 1
                    found[speaker][f"spoke_{near}_parity{(at - place) % 2}"] += 1
                at += step

    def _add_carried(self, found: dict[Who, Evidence], place: int) -> None:
        """Add who has been part of the conversation so far, though not told of lately."""
        turns = self._turns
        if place and turns[place].para - turns[place - 1].para > SCENE_GAP:
            self._present.clear()
        told = [who for who, features in found.items() if features]
        order = sorted(self._present, key=lambda who: -self._present[who])
        for rank, who in enumerate([who for who in order if who not in found][:CARRIED]):
            found[who]["carried"] = 1
            found[who][f"carried{min(rank, 2)}"] = 1
        for who in told:
            self._present[who] = place

    def _add_own_words(self, found: dict[Who, Evidence], turn: Turn) -> None:
        for who in set(turn.called):
            found[who]["called_here"] += 1
        for who in set(turn.inside):
            if who in found:
                found[who]["named_here"] += 1
        if self._cast.narrator is not None:
            features = found[self._cast.narrator]
            features["is_narrator"] = 1
            features["i_here"] = float(turn.para in self._mine)
            features["i_before"] = float(turn.para - 1 in self._mine)

    def _add_cues(
        self, found: dict[Who, Evidence], prefix: str, cues: list[Cue], turn: Turn
    ) -> str:
        """Add the first two cues; return the kind of the first."""
        for number, cue in enumerate(cues[:2]):
            mark = prefix if number == 0 else f"{prefix}2"
            subject = cue.subject
            if subject.kind == "named" and subject.who is not None:
                found[subject.who][f"{mark}_named_{cue.pattern}"] += 1
            elif subject.kind == "narrator" and subject.who is not None:
                found[subject.who][f"{mark}_narrator_{cue.pattern}"] += 1
            elif subject.kind == "noun":
                self._add_relative(found, mark, subject, turn)
                group = "kin" if subject.noun in self._kin else "any"
                self._noun_gender[subject.noun] = subject.gender
                found[subject.noun][f"{mark}_noun_{group}_{cue.pattern}"] += 1
                found[subject.noun][f"{mark}_noun_{subject.article}"] += 1
                found[subject.noun]["is_noun"] = 1
        return cues[0].subject.kind if cues else "none"

    def _add_relative(
        self, found: dict[Who, Evidence], mark: str, subject: Subject, turn: Turn
    ) -> None:
        """Add whom "his wife" means: of him whom she calls, or of whoever the pronoun means."""
        owners = [*turn.called, self._meant.get(subject.start)]
        for owner in owners:
            if owner is None:
                continue
            relative = self._cast.families.relative(subject.noun, owner)
            if relative is not None:
                found[relative][f"{mark}_relative"] = 1
                return

    def _add_agreement(
        self,
        found: dict[Who, Evidence],
        prefix: str,
        cue: Cue,
        turn: Turn,
        recent: list[tuple[int, int]],
    ) -> None:
        """Add whose gender agrees with a pronoun or noun, and who of them was last named."""
        wanted = cue.subject.gender
        if wanted not in ("he", "she"):
            return
        pronoun = cue.subject.kind == "pronoun"
        mark = f"{prefix}{'pronoun' if pronoun else 'noun'}"
        for who, features in found.items():
            gender = self.gender(who)
            fits = "ok" if gender == wanted else "bad" if gender in ("he", "she") else "unknown"
            if who == self._cast.narrator:  # tellers call themselves "I"
                fits = "bad"
            features[f"{mark}_{fits}"] = 1
        salient = self._meant.get(cue.subject.next - 1)
        if salient is not None and pronoun:
            found[salient][f"{mark}_salient"] = 1
        order = [m.who for m in reversed(turn.narrated) if m.first < cue.subject.next]
        order += [who for who, _ in recent]
        fitting = [who for who in dict.fromkeys(order) if self.gender(who) == wanted]
        for rank, who in enumerate(fitting):
            found[who][f"{mark}_rank{min(rank, 3)}"] = 1

    def _add_general(self, found: dict[Who, Evidence], prefix: str, kind: str) -> None:
        certain = prefix == "X" and kind in ("named", "narrator", "noun")
        for who, features in found.items():
            if isinstance(who, int):
                features["frequency"] = math.log1p(self._cast.weight.get(who, 0)) / 5
                features["here"] = math.log1p(self._here[who]) / 3
            if certain and not any(key.startswith("X_") for key in features):
                features["X_miss"] = 1


def _cues(turn: Turn) -> tuple[str, list[Cue]]:
    """Return the cues that count for a turn, and their prefix."""
    if turn.cues:
        return "X", turn.cues
    if turn.lead:
        return "L", [turn.lead]
    return ("B", turn.beats) if turn.beats else ("0", [])
