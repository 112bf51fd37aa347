"""English words in their basic form, as Postgres full text has them."""

import re
from functools import lru_cache

import snowballstemmer

CURLY = "\u2019"  # the apostrophe of printed books
WORD = re.compile(rf"[^\W_]+(?:['{CURLY}][^\W_]+)*")
KNOWN_WORDS = 65_536  # a long novel has 20,000 different ones


def stems_of(text: str) -> list[str]:
    """Return the stems of a text's words, in order."""
    return [stem(word) for word in WORD.findall(text.lower())]


@lru_cache(KNOWN_WORDS)
def stem(word: str) -> str:
    """Return the stem of a word in lower case."""
    # One for each word: a stemmer keeps state, and threads share this function.
    stemmed: str = snowballstemmer.stemmer("english").stemWord(word.replace(CURLY, "'"))
    return stemmed
