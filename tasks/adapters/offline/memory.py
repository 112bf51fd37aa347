"""What is remembered of a conversation: what the reader has said, in their own words."""

from typing import Any

from tasks.adapters.offline.words import sentences

Facts = dict[str, Any]

REMEMBERED_LINES = 20  # of the reader's; the oldest go first
LINE_CHARS = 160


def summary(extra: Facts) -> str:
    """Return the memory of a talk: the first sentence of what the reader has said each time.

    Reads `remembered`, an earlier summary, and `lines`, each "who: what".
    """
    known = str(extra.get("remembered") or "").splitlines()
    told = [line.partition(": ") for line in extra.get("lines") or []]
    said = [_first(text) for who, _, text in told if who == "Reader"]
    lines = [*known, *(f"The reader said: {one}" for one in said if one)]
    return "\n".join(lines[-REMEMBERED_LINES:])


def _first(text: str) -> str:
    return next(iter(sentences(" ".join(text.split()))), "")[:LINE_CHARS]
