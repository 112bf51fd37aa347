"""A character answers with their own words from the book."""

import math
import re
from collections import Counter
from typing import Any

from tasks.adapters.offline.words import content_words, distinct, sentences, stem

Facts = dict[str, Any]

QUOTES = 2  # in one answer
SENTENCES = 3  # of one long quotation
NEARBY = 0.5  # what a quotation gains for standing in a passage that was found, in BM25 points
K1, B = 1.2, 0.75  # BM25, Robertson and Zaragoza (2009)
MARKS = " \"'“”‘’«»‹›„‚—–-_"  # noqa: RUF001 — quotation marks of all kinds


def reply(extra: Facts) -> str:
    """Return the character's answer to `message`.

    Reads `message`, `quotes` and `passages` (each with its `quotes_by_character`).
    """
    message = str(extra.get("message", ""))
    passages = extra.get("passages") or []
    near = distinct(quote for one in passages for quote in one.get("quotes_by_character") or [])
    quotes = distinct([*near, *(extra.get("quotes") or [])])
    if not quotes:
        return "Nothing that I ever said is written in my book, so I must be silent here, too."
    asked = _stems(message)
    scores = bm25(asked, quotes)
    ranked = sorted(
        (-(score + (NEARBY if quote in near else 0.0)), place, quote)
        for place, (quote, score) in enumerate(zip(quotes, scores, strict=True))
        if score > 0
    )
    if not ranked:
        return f"Of that I never spoke. But this I did say: {_told((near or quotes)[0], asked)}"
    return " ".join(_told(quote, asked) for _, _, quote in ranked[:QUOTES])


def bm25(asked: list[str], texts: list[str]) -> list[float]:
    """Return how well each text fits the stems that are asked for; 0 is not at all."""
    counts = [Counter(_stems(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths) or 1.0
    scores = [0.0] * len(texts)
    for term in distinct(asked):
        holders = sum(term in count for count in counts)
        rarity = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        for place, count in enumerate(counts):
            held = count[term]
            scale = K1 * (1 - B + B * lengths[place] / mean)
            scores[place] += rarity * held * (K1 + 1) / (held + scale)
    return scores


def _told(quote: str, asked: list[str]) -> str:
    """Return a quotation as it is spoken: without marks, and of a long one the best part."""
    parts = sentences(quote.strip(MARKS))
    if len(parts) > SENTENCES:
        fits = bm25(asked, parts)
        best = max(range(len(parts)), key=lambda place: (fits[place], -place))
        start = min(max(0, best - 1), len(parts) - SENTENCES)
        parts = parts[start : start + SENTENCES]
    text = re.sub(r"[,;:]$", ".", " ".join(parts).strip(MARKS))
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _stems(text: str) -> list[str]:
    return [stem(word) for word in content_words(text)]
