"""Train the speaker model: `python -m bench.extractor.train --litbank FOLDER [--folds 5]`.

Trains on LitBank's annotations and on hidden speakers of the public-domain novels among the test
data (`masked.py`). Maximises the probability of the right speakers given those around them
(pseudo-likelihood), with a Gaussian prior around hand-set weights (`prior.json`). With `--folds`
it also measures on works left out. Writes `tasks/adapters/extractors/data/weights.json`.
"""

import argparse
import json
import math
import random
from collections import defaultdict
from pathlib import Path

from tasks.adapters.extractors.decoder import Decoder
from tasks.adapters.extractors.features import Features, Who
from tasks.adapters.extractors.lexicon import DATA
from tasks.adapters.extractors.sequence import transition

from .litbank import load
from .masked import load_masked
from .questions import Asked, ask

EPOCHS = 30
RATE = 0.08
PRIOR_STRENGTH = 0.002  # per turn; of 0 … 0.05, the region that does best on works left out
SMALLEST = 0.01  # weights below are left out of the file

Weights = dict[str, float]
# Of a turn: each candidate's features, with those of the turns around, and whether they are right.
Example = list[tuple[list[tuple[str, float]], bool]]
Accuracy = dict[str, tuple[int, int]]  # how the speaker is referred to → right, all


def prior() -> Weights:
    """Return the hand-set weights."""
    loaded: Weights = json.loads((Path(__file__).parent / "prior.json").read_text(encoding="utf-8"))
    return loaded


def train(works: list[Asked], start: Weights, seed: int = 7) -> Weights:
    """Return weights fitted to works by stochastic gradient ascent, averaged over the last half."""
    weights, order = defaultdict(float, start), random.Random(seed)
    total: defaultdict[str, float] = defaultdict(float)
    examples = [e for work in works for e in _examples(work)]
    kept = 0
    for epoch in range(EPOCHS):
        order.shuffle(examples)
        rate = RATE / (1 + epoch / 10)
        for example in examples:
            _climb(example, weights, start, rate)
        if epoch >= EPOCHS // 2:
            kept += 1
            for key, value in weights.items():
                total[key] += value
    return {key: value / kept for key, value in total.items()}


def _examples(work: Asked) -> list[Example]:
    """Return the turns that teach something: some candidates are right and some are not."""
    return [
        [(list(_whole(work, place, w).items()), w in right) for w in question.candidates]
        for place, (question, right) in enumerate(zip(work.questions, work.right, strict=True))
        if right and len(right) < len(question.candidates)
    ]


def _climb(example: Example, weights: defaultdict[str, float], start: Weights, rate: float) -> None:
    """Take one step for one turn."""
    scores = [sum(weights[key] * value for key, value in own) for own, _ in example]
    top = max(scores)
    mass = [math.exp(value - top) for value in scores]
    whole = sum(mass)
    good = sum(m for m, (_, right) in zip(mass, example, strict=True) if right)
    touched: defaultdict[str, float] = defaultdict(float)
    for one, (own, right) in zip(mass, example, strict=True):
        pull = (one / good if right and good else 0.0) - one / whole
        for key, value in own:
            touched[key] += pull * value
    for key, gradient in touched.items():
        weight = weights[key]
        weights[key] = weight + rate * (gradient - PRIOR_STRENGTH * (weight - start.get(key, 0.0)))


def _whole(work: Asked, place: int, who: Who) -> Features:
    """Return a candidate's own features with those of the transitions to and from it."""
    found: defaultdict[str, float] = defaultdict(float, work.questions[place].candidates[who])
    for at in (place, place + 1, place + 2):
        if at >= len(work.questions):
            break
        around = [who if at - k == place else _known(work, at - k) for k in range(3)]
        before = work.questions[at - 1] if at else None
        before2 = work.questions[at - 2] if at > 1 else None
        links = transition(work.questions[at], before, before2, around[0], around[1], around[2])
        for key, value in links.items():
            found[key] += value
    return found


def _known(work: Asked, place: int) -> Who | None:
    """Return the right speaker of a turn; a stand-in where that is no candidate."""
    if place < 0 or work.right[place] is None:
        return None
    right = work.right[place]
    return min(right, key=str) if right else f"?{work.speaker[place]}"


def accuracy(works: list[Asked], weights: Weights) -> Accuracy:
    """Return right and all turns, by how the speaker is referred to."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for work in works:
        for question, right, who in zip(
            work.questions, work.right, Decoder(work.questions, weights).best(), strict=True
        ):
            if right is None:
                continue
            for kind in ("all", question.kind):
                counts[kind][0] += who in right
                counts[kind][1] += 1
    return {kind: (good, all_) for kind, (good, all_) in counts.items()}


def held_out(litbank: list[Asked], novels: list[Asked], folds: int) -> dict[str, Weights]:
    """Return for each work of LitBank weights trained without it, or a novel of its name."""
    order = random.Random(13).sample(litbank, len(litbank))
    found: dict[str, Weights] = {}
    for fold in range(folds):
        out = {_title(work) for work in order[fold::folds]}
        kept = [w for w in order + novels if not any(_title(w) in title for title in out)]
        weights = train(_chapters(kept), prior())
        found |= {work.name: weights for work in order[fold::folds]}
    return found


def _title(work: Asked) -> str:
    """Return a name in which 1342_pride_and_prejudice_brat contains PrideAndPrejudice."""
    return "".join(char for char in work.name.lower() if char.isalpha())


def cross_validate(litbank: list[Asked], novels: list[Asked], folds: int) -> Accuracy:
    """Return the accuracy on works left out of LitBank, over all folds."""
    trained = held_out(litbank, novels, folds)
    total: Accuracy = {}
    for work in litbank:
        for kind, (good, all_) in accuracy(list(work.chapters()), trained[work.name]).items():
            old = total.get(kind, (0, 0))
            total[kind] = (old[0] + good, old[1] + all_)
    return total


def _chapters(works: list[Asked]) -> list[Asked]:
    return [chapter for work in works for chapter in work.chapters()]


def _print(title: str, found: Accuracy) -> None:
    parts = (f"{kind} {good / all_:.3f} of {all_}" for kind, (good, all_) in sorted(found.items()))
    print(title, " · ".join(parts))


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litbank", type=Path, required=True)
    parser.add_argument("--novels", type=Path, default=Path("tests/data/novels"))
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--out", type=Path, default=DATA / "weights.json")
    options = parser.parse_args()
    litbank = [ask(document) for document in load(options.litbank)]
    novels = load_masked(options.novels)
    _print("LitBank, hand-set weights:", accuracy(_chapters(litbank), prior()))
    _print("novels, hand-set weights:", accuracy(_chapters(novels), prior()))
    if options.folds:
        _print(f"LitBank, {options.folds}-fold:", cross_validate(litbank, novels, options.folds))
    weights = train(_chapters(litbank + novels), prior())
    kept = {k: round(v, 4) for k, v in sorted(weights.items()) if abs(v) >= SMALLEST}
    options.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
