"""Vectors without a model: words hashed into a fixed number of dimensions."""

import hashlib
import math
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from tasks.adapters.offline.words import content_words, stem

DIMENSION = 512
GRAM = 4  # letters; finds *marriage* near *marry*
WORD_WEIGHT, PAIR_WEIGHT, GRAM_WEIGHT = 1.0, 0.6, 0.25
CACHED_WORDS = 20_000  # more than the distinct words of a novel; about 20 MB when full


def hashed(text: str) -> list[float]:
    """Return a vector `(512,)` of unit length, the same in every process.

    Signed feature hashing (Weinberger et al., ICML 2009) of words, with their letter groups, and of
    word pairs; each counts 1 + ln(occurrences). A text without words has a fixed vector.
    """
    stems = [stem(word) for word in content_words(text)]
    vector = [0.0] * DIMENSION
    for one, count in Counter(stems).items():
        for place, value in _word(one):
            vector[place] += value * (1.0 + math.log(count))
    for pair, count in Counter(pairwise(stems)).items():
        place, value = _feature(" ".join(pair), PAIR_WEIGHT)
        vector[place] += value * (1.0 + math.log(count))
    length = math.sqrt(math.fsum(value * value for value in vector))
    if length == 0.0:
        return [1.0] + [0.0] * (DIMENSION - 1)
    return [value / length for value in vector]


@lru_cache(CACHED_WORDS)
def _word(stemmed: str) -> tuple[tuple[int, float], ...]:
    """Return the places of a word and its letter groups in a vector, and their values."""
    padded = f"<{stemmed}>"
    grams = {padded[at : at + GRAM] for at in range(max(1, len(padded) - GRAM + 1))}
    return (
        _feature(stemmed, WORD_WEIGHT),
        *(_feature(f"#{gram}", GRAM_WEIGHT) for gram in sorted(grams)),
    )


def _feature(name: str, weight: float) -> tuple[int, float]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    sign = 1.0 if digest[4] & 1 else -1.0
    return int.from_bytes(digest[:4], "big") % DIMENSION, sign * weight
