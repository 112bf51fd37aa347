"""Chooses the speakers of a chapter together: a beam search over turns, two turns of memory."""

import math
from collections.abc import Mapping

from .features import Features, Question, Who, transition

BEAM = 12
TOP = 10  # candidates of a turn that enter the search
MEMORY_PARAGRAPHS = 4  # further apart, speakers of turns do not bear on each other
TEMPERATURE = 1.6  # of scores into confidences, which rank answers and are not calibrated
_ABSENT: Features = {"absent": 1.0}


def score(weights: Mapping[str, float], features: Features) -> float:
    """Return the weighted sum of features."""
    return sum(weights.get(key, 0.0) * value for key, value in features.items())


State = tuple[Who | None, Who | None]  # the speakers of the last turn but one, and of the last


class Decoder:
    """Searches the best speakers of a sequence of questions."""

    def __init__(self, questions: list[Question], weights: Mapping[str, float]) -> None:
        self._questions = questions
        self._weights = weights
        self._local = [
            {who: score(weights, f) for who, f in q.candidates.items()} for q in questions
        ]
        self._links = [self._link_scores(place) for place in range(len(questions))]
        self._absent = score(weights, _ABSENT)

    def best(self) -> list[Who | None]:
        """Return the best sequence of speakers."""
        beams: list[tuple[float, State]] = [(0.0, (None, None))]
        trail: list[dict[State, State]] = []
        for place in range(len(self._questions)):
            reached = self._step(place, beams)
            ranked = sorted(reached.items(), key=lambda item: (-item[1][0], repr(item[0])))[:BEAM]
            trail.append({state: origin for state, (_, origin) in ranked})
            beams = [(value, state) for state, (value, _) in ranked]
        if not trail:
            return []
        state, speakers = beams[0][1], []
        for step in reversed(trail):
            speakers.append(state[1])
            state = step[state]
        return speakers[::-1]

    def _step(
        self, place: int, beams: list[tuple[float, State]]
    ) -> dict[State, tuple[float, State]]:
        options = self._options(place)
        reached: dict[State, tuple[float, State]] = {}
        near = self._near(place)
        for value, (last2, last) in beams:
            extra = [w for w in (last, last2) if near and w is not None and w not in options]
            for who in [*options, *dict.fromkeys(extra)]:
                total = value + self._at(place, who) + self._link(place, who, last, last2)
                state = (last, who)
                if state not in reached or total > reached[state][0]:
                    reached[state] = (total, (last2, last))
        return reached

    def _options(self, place: int) -> list[Who | None]:
        local = self._local[place]
        ranked = sorted(local, key=lambda who: (-local[who], str(who)))[:TOP]
        return list(ranked) or [None]

    def _near(self, place: int) -> bool:
        if place == 0:
            return False
        gap = self._questions[place].turn.para - self._questions[place - 1].turn.para
        return gap <= MEMORY_PARAGRAPHS

    def _at(self, place: int, who: Who | None) -> float:
        if who is None:
            return 0.0
        known = self._local[place].get(who)
        return self._absent if known is None else known

    def _link(self, place: int, who: Who | None, last: Who | None, last2: Who | None) -> float:
        same, taking, new = self._links[place]
        if who == last:
            return same
        return taking if who == last2 else new

    def _link_scores(self, place: int) -> tuple[float, float, float]:
        """Return the scores of the last speaker, the one before, and anybody else."""
        before = self._questions[place - 1] if place else None
        before2 = self._questions[place - 2] if place > 1 else None

        def scored(who: int, last: int, last2: int) -> float:
            found = transition(self._questions[place], before, before2, who, last, last2)
            return score(self._weights, found)

        return scored(1, 1, 2), scored(1, 2, 1), scored(1, 2, 3)

    def probabilities(self, speakers: list[Who | None], place: int) -> list[tuple[Who, float]]:
        """Return the candidates of a turn with probabilities, given the speakers around it."""

        def around(offset: int) -> Who | None:
            return speakers[place + offset] if 0 <= place + offset < len(speakers) else None

        options = [who for who in self._local[place]]
        chosen = speakers[place]
        if chosen is not None and chosen not in options:
            options.append(chosen)
        scores = {}
        for who in options:
            total = self._at(place, who) + self._link(place, who, around(-1), around(-2))
            if place + 1 < len(speakers):
                total += self._link(place + 1, around(1), who, around(-1))
            if place + 2 < len(speakers):
                total += self._link(place + 2, around(2), around(1), who)
            scores[who] = total / TEMPERATURE
        if not scores:
            return []
        top = max(scores.values())
        mass = {who: math.exp(value - top) for who, value in scores.items()}
        whole = sum(mass.values())
        ranked = sorted(mass, key=lambda who: (-mass[who], str(who)))
        return [(who, mass[who] / whole) for who in ranked]
