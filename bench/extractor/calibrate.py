"""Fit the temperature of the confidences: `python -m bench.extractor.calibrate --litbank FOLDER`.

Scores each work of LitBank with weights trained without it, and prints for a range of temperatures
the log loss of "the first candidate is right", and how far confidence and accuracy are apart
(expected calibration error, ten bins). The best one is `TEMPERATURE` of `decoder.py`.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tasks.adapters.extractors.decoder import Decoder

from .litbank import load
from .masked import load_masked
from .questions import Asked, ask
from .train import Weights, held_out

FOLDS = 5
TEMPERATURES = (1.0, 1.2, 1.4, 1.5, 1.6, 1.8, 2.0, 2.5)
SUREST = 0.999  # nobody is surer: one wrong answer would otherwise cost without bound

Answers = list[tuple[float, bool]]  # the confidence of each answer, and whether it is right


def answers(work: Asked, weights: Weights, temperature: float) -> Iterator[tuple[float, bool]]:
    """Yield the answer to each annotated turn."""
    for chapter in work.chapters():
        ranked = Decoder(chapter.questions, weights, temperature).ranked
        for right, own in zip(chapter.right, ranked, strict=True):
            if right is not None and own:
                yield own[0][1], own[0][0] in right


def log_loss(given: Answers) -> float:
    """Return the mean negative logarithm of the confidence in what was so."""
    bounded = [(min(max(p, 1 - SUREST), SUREST), right) for p, right in given]
    return -sum(math.log(p if right else 1 - p) for p, right in bounded) / len(given)


def calibration_error(given: Answers) -> float:
    """Return the mean distance of confidence and accuracy, over ten bins of confidence."""
    bins: defaultdict[int, list[float]] = defaultdict(list)
    for p, right in given:
        bins[min(9, int(10 * p))].append(p - right)
    return sum(abs(sum(differences)) for differences in bins.values()) / len(given)


def main() -> None:
    """Print a line per temperature."""
    parser = argparse.ArgumentParser(prog="python -m bench.extractor.calibrate")
    parser.add_argument("--litbank", type=Path, required=True)
    parser.add_argument("--novels", type=Path, default=Path("tests/data/novels"))
    options = parser.parse_args()
    works = [ask(document) for document in load(options.litbank)]
    trained = held_out(works, load_masked(options.novels), FOLDS)
    for temperature in TEMPERATURES:
        given = [a for work in works for a in answers(work, trained[work.name], temperature)]
        loss, error = log_loss(given), calibration_error(given)
        print(f"{temperature}: log loss {loss:.4f}, calibration error {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
