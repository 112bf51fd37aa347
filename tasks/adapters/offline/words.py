"""Words and sentences, as far as the offline model understands them."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")  # noqa: RUF001 — both apostrophes occur
SENTENCE = re.compile(r"[^.!?]+[.!?]*[\"'”’)]*\s*")  # noqa: RUF001
TITLE = re.compile(r"\b(Mr|Mrs|Ms|Dr|St|Messrs|Rev|Capt|Col)\.\s*$")
ENDING = re.compile(r"(?<=\w{3})(?:ingly|edly|ness|ing|ies|est|ed|ly|es|(?<!s)s)$")
LAST_VOWEL = re.compile(r"(?<=\w{3})[eiy]$")
CACHED_STEMS = 20_000  # more than the distinct words of a novel

_STOP_WORDS = """
    a about above after again all almost also am an and any are as at be because been before being
    but by can cannot could did do does doing don't down each ever every few for from further had
    has have having he her here hers herself him himself his how i i'd i'll i'm i've if in into is
    it it's its itself just let like may me might mine more most much must my myself never no nor
    not now of off oh on once one only or other our ours out over own quite rather said same say
    says shall she should so some such tell than that that's the their theirs them themselves then
    there these they think this those though through to too under until up upon us very was we
    well were what what's when where which while who whom whose why will with would yes yet you
    your yours yourself feel know please mr mrs
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case, in order."""
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]  # noqa: RUF001


def content_words(text: str) -> list[str]:
    """Return the words that say what a text is about."""
    return [word for word in words(text) if word not in STOP_WORDS and len(word) > 1]


@lru_cache(CACHED_STEMS)
def stem(word: str) -> str:
    """Return a word without its ending, roughly: *marrying*, *marries* and *marry* are one."""
    return LAST_VOWEL.sub("", ENDING.sub("", word.removesuffix("'s")))


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in order; an abbreviated title ends none."""
    found: list[str] = []
    for piece in SENTENCE.findall(text):
        if found and TITLE.search(found[-1]):
            found[-1] += piece
        else:
            found.append(piece)
    return [sentence.strip() for sentence in found if sentence.strip()]


def listed(items: Sequence[str], joint: str = "and") -> str:
    """Return "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def distinct(items: Iterable[str]) -> list[str]:
    """Return the items without repetitions, in order of first appearance."""
    return list(dict.fromkeys(items))
