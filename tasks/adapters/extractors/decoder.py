"""Chooses the speakers of a chapter together: a beam search over turns, two turns of memory.

Each candidate of a turn is worth as much as the best sequence in which they speak it (the
max-marginal, by a forward and a backward pass over what the beam keeps). The best one is that of
the best sequence; a softmax of these values, with a temperature, gives the confidences.
"""

import math
from collections.abc import Mapping
from functools import cached_property

from .features import Features, Question, Who
from .sequence import transition

BEAM = 12
TOP = 10  # candidates of a turn that enter the search
# Divides the values before the softmax; fitted by `bench.extractor.calibrate` on works of LitBank
# held out, for the least log loss of "the first candidate is right": 0.501, where 1.0 has 0.578.
TEMPERATURE = 1.8


def score(weights: Mapping[str, float], features: Features) -> float:
    """Return the weighted sum of features."""
    return sum(weights.get(key, 0.0) * value for key, value in features.items())


State = tuple[Who | None, Who | None]  # the speakers of the last turn but one, and of the last
Ranked = list[tuple[Who, float]]
_START: State = (None, None)


class Decoder:
    """Finds the speakers of a sequence of questions."""

    def __init__(
        self,
        questions: list[Question],
        weights: Mapping[str, float],
        temperature: float = TEMPERATURE,
    ) -> None:
        self._questions = questions
        self._weights = weights
        self._temperature = temperature
        self._local = [
            {who: score(weights, f) for who, f in q.candidates.items()} for q in questions
        ]
        self._links = [self._link_scores(place) for place in range(len(questions))]

    def best(self) -> list[Who | None]:
        """Return the likeliest speaker of each turn; None where there is no candidate."""
        return [ranked[0][0] if ranked else None for ranked in self.ranked]

    @cached_property
    def ranked(self) -> list[Ranked]:
        """Return the candidates of each turn with probabilities, the likeliest first."""
        forward, steps = self._forward()
        backward: dict[State, float] = {}
        found: list[Ranked] = []
        for place in range(len(self._questions) - 1, -1, -1):
            if place == len(self._questions) - 1:
                backward = dict.fromkeys(forward[place], 0.0)
            else:
                backward = _back(forward[place], steps[place + 1], backward)
            found.append(_soften(forward[place], backward, self._temperature))
        return found[::-1]

    def _forward(self) -> tuple[list[dict[State, float]], list[dict[State, dict[State, float]]]]:
        """Return for each turn the best scores up to each state kept, and the steps into it."""
        beam: dict[State, float] = {_START: 0.0}
        sums: list[dict[State, float]] = []
        steps: list[dict[State, dict[State, float]]] = []
        for place in range(len(self._questions)):
            reached = self._step(place, beam)
            totals = {
                state: max(beam[origin] + value for origin, value in into.items())
                for state, into in reached.items()
            }
            kept = sorted(totals, key=lambda state: (-totals[state], repr(state)))[:BEAM]
            beam = {state: totals[state] for state in kept}
            sums.append(beam)
            steps.append({state: reached[state] for state in kept})
        return sums, steps

    def _step(self, place: int, beam: dict[State, float]) -> dict[State, dict[State, float]]:
        options = self._options(place)
        reached: dict[State, dict[State, float]] = {}
        for origin in beam:
            last2, last = origin
            for who in options:
                value = self._at(place, who) + self._link(place, who, last, last2)
                reached.setdefault((last, who), {})[origin] = value
        return reached

    def _options(self, place: int) -> list[Who | None]:
        local = self._local[place]
        ranked = sorted(local, key=lambda who: (-local[who], str(who)))[:TOP]
        return list(ranked) or [None]

    def _at(self, place: int, who: Who | None) -> float:
        return 0.0 if who is None else self._local[place][who]

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


def _back(
    states: dict[State, float],
    steps: dict[State, dict[State, float]],
    after: dict[State, float],
) -> dict[State, float]:
    """Return the best scores from each state to the end, those of the turn after it known."""
    best: dict[State, float] = {}
    for state, into in steps.items():
        if state not in after:  # the beam has lost all that follows
            continue
        for origin, value in into.items():
            total = value + after[state]
            if origin in states and total > best.get(origin, -math.inf):
                best[origin] = total
    return best


def _soften(
    forward: dict[State, float], backward: dict[State, float], temperature: float
) -> Ranked:
    """Return who speaks at a turn with confidences, over all states that end in them."""
    best: dict[Who, float] = {}
    for state, rest in backward.items():
        who, value = state[1], forward[state] + rest
        if who is not None and value > best.get(who, -math.inf):
            best[who] = value
    top = max(best.values(), default=0.0)
    mass = {who: math.exp((value - top) / temperature) for who, value in best.items()}
    whole = sum(mass.values())
    ranked = sorted(mass, key=lambda who: (-mass[who], str(who)))
    return [(who, mass[who] / whole) for who in ranked]
