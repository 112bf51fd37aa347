"""How far a reader has read, and what may be told them: nothing from a later chapter.

`up_to` counts chapters that were read, from 1; None is the whole book. Chapter references inside
profiles and passages count from 0, so a chapter is behind the reader when it is less than `up_to`.
What does not say where it stands counts as later: unknown is never safe.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from models.errors import Unprocessable

Facts = dict[str, Any]

SHOWN_QUOTES = 12  # in a prompt that is written here
SHOWN_RELATIONS = 6
SHOWN_WORDS = 8


class NotMetYet(Unprocessable):
    """The reader has not met this character yet."""

    code = "character_not_met_yet"


class ChapterEnd(BaseModel):
    """A chapter of a book as its index knows it."""

    title: str
    last_passage: int  # the index of its last passage; that of an earlier one if it has none


class Known(BaseModel):
    """What may be told of a character, and who they are to be."""

    persona: str
    aliases: list[str]
    quotes: list[str]


def horizon(up_to: int | None, chapters: int) -> int | None:
    """Return how many chapters were read; None when that is the whole book."""
    return None if up_to is None or 0 < chapters <= up_to else up_to


def check_met(name: str, profile: Facts | None, up_to: int | None) -> None:
    """Refuse a character who first appears beyond the horizon. Raises NotMetYet."""
    if not is_met(profile, up_to):
        first = (profile or {}).get("first_chapter")
        where = f" first appears in chapter {first + 1}" if isinstance(first, int) else ""
        raise NotMetYet(
            f"{name}{where or ' is not known to appear'}; you have read up to chapter {up_to}.",
            up_to_chapter=up_to,
            first_chapter=first + 1 if isinstance(first, int) else None,
        )


def is_met(profile: Facts | None, up_to: int | None) -> bool:
    """Say whether a character has appeared within the horizon."""
    return up_to is None or _behind((profile or {}).get("first_chapter"), up_to)


def last_passage(chapters: Sequence[ChapterEnd], up_to: int | None) -> int | None:
    """Return the index of the last passage within the horizon; None when there is no limit.

    A book that was read in before its chapters were kept has no limit here: its passages are
    judged by `passage_is_within`.
    """
    if up_to is None or not chapters:
        return None
    return chapters[min(up_to, len(chapters)) - 1].last_passage


def passage_is_within(meta: Facts, up_to: int | None) -> bool:
    """Say whether a passage may be told; it says in its `meta` which chapter it is of."""
    return up_to is None or _behind(meta.get("chapter"), up_to)


def known_within(
    *, name: str, persona: str, aliases: list[str], profile: Facts | None, up_to: int | None
) -> Known:
    """Return what may be told of a character.

    The written persona knows the whole book. It serves only when the book says nothing more of the
    character beyond the horizon; else one is put together from what carries a chapter.
    """
    facts = profile or {}
    quotes = [(_text(one), _chapter(one)) for one in _quotes(facts)]
    if up_to is None or _behind(facts.get("last_chapter"), up_to):
        return Known(persona=persona, aliases=aliases, quotes=[text for text, _ in quotes])
    said = [text for text, chapter in quotes if _behind(chapter, up_to)]
    return Known(persona=_persona(name, facts, said, up_to), aliases=[], quotes=said)


def standing(up_to: int | None, chapters: Sequence[ChapterEnd]) -> str:
    """Return what a prompt says of where the reader stands; empty for the whole book."""
    if up_to is None:
        return ""
    title = chapters[up_to - 1].title if up_to <= len(chapters) else ""
    return (
        f"The reader has read up to the end of chapter {up_to}"
        + (f" ({title})" if title else "")
        + " and no further. For you, too, nothing beyond it has happened: never tell, hint at or "
        "confirm anything of later chapters, even if you are asked or believe that you know it."
    )


def _persona(name: str, facts: Facts, said: list[str], up_to: int) -> str:
    near = [
        str(one["name"])
        for one in facts.get("relations") or []
        if isinstance(one, dict) and "name" in one and _behind(_chapter(one), up_to)
    ]
    found = [
        word
        for word, places in (facts.get("described_at") or {}).items()
        if any(_behind(_chapter(place), up_to) for place in places)
    ]
    shown = said[:: max(1, len(said) // SHOWN_QUOTES)][:SHOWN_QUOTES]
    lines = [
        f"You are {name}.",
        f"People find you {', '.join(found[:SHOWN_WORDS])}." if found else "",
        f"People you have to do with: {', '.join(near[:SHOWN_RELATIONS])}." if near else "",
        "Speak as yourself, in the first person, in the manner of these words of yours:"
        if shown
        else "Speak as yourself, in the first person.",
        *(f"- {one}" for one in shown),
        "You know what happens in your book and nothing beyond it.",
    ]
    return "\n".join(line for line in lines if line)


def _quotes(facts: Facts) -> list[Any]:
    """Return the quotations, each with its chapter where a list beside them says their places."""
    quotes, places = list(facts.get("quotes") or []), facts.get("quote_places") or []
    if len(places) != len(quotes):
        return quotes
    return [
        {"text": _text(one), "chapter": _chapter(place)}
        for one, place in zip(quotes, places, strict=True)
    ]


def _text(fact: Any) -> str:
    return str(fact.get("text", "")) if isinstance(fact, dict) else str(fact)


def _chapter(fact: Any) -> Any:
    """Return the first chapter that a fact refers to; None when it says nothing of it."""
    if not isinstance(fact, dict):
        return None
    chapters = [one for one in fact.get("chapters") or [] if isinstance(one, int)]
    return fact.get("chapter", fact.get("first_chapter", min(chapters, default=None)))


def _behind(chapter: Any, up_to: int) -> bool:
    return isinstance(chapter, int) and chapter < up_to
