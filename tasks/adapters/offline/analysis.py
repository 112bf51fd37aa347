"""Who a character is, told from the facts that were extracted about them.

The facts are a profile: `name, aliases, pronouns, mentions, quote_count, does, undergoes, has,
described_as, relations` (`name, kin`) and `quotes`. Whatever is missing is left out.
"""

from collections import Counter
from typing import Any

from tasks.adapters.offline.words import content_words, distinct, listed, sentences

Facts = dict[str, Any]

LONG_WORDS, SHORT_WORDS = 30, 14  # words of a typical quotation: at length, briefly
PHRASE_WORDS = (4, 16)  # of a sentence that may pass for a character's own phrase
SHOWN_QUOTES = 8  # in the prompt


def analysis(extra: Facts) -> Facts:
    """Return the first pass of a persona."""
    facts: Facts = extra.get("facts") or {}
    quotes, relations = _quotes(facts), facts.get("relations") or []
    names = [one["name"] for one in relations]
    return {
        "summary": _summary(facts, names),
        "personality_traits": list(facts.get("described_as") or [])[:8],
        "speech_style": _speech(quotes),
        "motivations": _motivations(facts),
        "relationships": [_relationship(one) for one in relations[:6]],
        "themes": _favourite_words(quotes)[:6],
        "signature_phrases": _phrases(quotes),
    }


def system_prompt(extra: Facts) -> str:
    """Return the second pass: the prompt that lets a character speak."""
    facts: Facts = extra.get("facts") or {}
    found: Facts = extra.get("analysis") or analysis(extra)
    name = _name(facts)
    known = [one["name"] for one in facts.get("relations") or []][:5]
    aliases = list(facts.get("aliases") or [])[:4]
    lines = [
        f"You are {name}." + (f" You are also called {listed(aliases)}." if aliases else ""),
        str(found.get("summary", "")),
        _sentence("People find you", found.get("personality_traits")),
        _sentence("The people you know best are", known),
        _sentence("What occupies you:", found.get("themes")),
        str(found.get("speech_style", "")),
        "Speak as yourself, in the first person, in the manner of these words of yours:",
        *(f"- {quote}" for quote in _quotes(facts)[:SHOWN_QUOTES]),
        "You know what happens in your book and nothing beyond it.",
    ]
    return "\n".join(line for line in lines if line)


def _summary(facts: Facts, names: list[str]) -> str:
    name, mentions, spoken = _name(facts), facts.get("mentions"), facts.get("quote_count")
    told = f"{name} is somebody in this book"
    if mentions:
        told = f"{name} is mentioned {mentions} times"
        told += f" and speaks {spoken} times" if spoken else " and never speaks"
        first, last = facts.get("first_chapter"), facts.get("last_chapter")
        if isinstance(first, int) and isinstance(last, int) and last > first:
            told += f", from chapter {first + 1} to chapter {last + 1}"
    traits = list(facts.get("described_as") or [])[:3]
    told += f", and is called {listed(traits)}." if traits else "."
    return told + (f" Those closest to {name} are {listed(names[:3])}." if names else "")


def _speech(quotes: list[str]) -> str:
    if not quotes:
        return "Is never heard in their own words."
    lengths = sorted(len(quote.split()) for quote in quotes)
    typical = lengths[len(lengths) // 2]
    manner = (
        "at length"
        if typical > LONG_WORDS
        else "in a few words"
        if typical < SHORT_WORDS
        else "in measured sentences"
    )
    asks = sum("?" in quote for quote in quotes) / len(quotes)
    exclaims = sum("!" in quote for quote in quotes) / len(quotes)
    habits = ["often asks"] if asks > 0.3 else []
    habits += ["often exclaims"] if exclaims > 0.3 else []
    about = _favourite_words(quotes)[:4]
    told = f"Speaks {listed([manner, *habits])}"
    return f"{told}; dwells on {listed(about)}." if about else f"{told}."


def _motivations(facts: Facts) -> list[str]:
    does, has = list(facts.get("does") or []), list(facts.get("has") or [])
    found = [f"Seen to {listed(does[:4])}."] if does else []
    return found + ([f"Concerned with their {listed(has[:4])}."] if has else [])


def _relationship(one: Facts) -> str:
    kin = list(one.get("kin") or [])
    return f"{one['name']} ({', '.join(kin)})" if kin else str(one["name"])


def _phrases(quotes: list[str]) -> list[str]:
    least, most = PHRASE_WORDS
    fitting = [
        sentence
        for quote in quotes
        for sentence in sentences(quote)
        if least <= len(sentence.split()) <= most and sentence[-1:] in ".!?"
    ]
    telling = Counter(_favourite_words(quotes)[:20])
    return sorted(
        distinct(fitting), key=lambda one: -sum(telling[word] for word in content_words(one))
    )[:3]


def _favourite_words(quotes: list[str]) -> list[str]:
    counts = Counter(word for quote in quotes for word in content_words(quote) if len(word) > 3)
    return [word for word, _ in counts.most_common(20)]


def _sentence(beginning: str, items: Any) -> str:
    return f"{beginning} {listed([str(item) for item in items])}." if items else ""


def _name(facts: Facts) -> str:
    return str(facts.get("name") or "Somebody")


def _quotes(facts: Facts) -> list[str]:
    return [str(quote) for quote in facts.get("quotes") or []]
