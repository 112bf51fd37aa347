"""Who a character is, and how they would speak: two passes over the facts of the book.

The first pass asks for an analysis, the second for the prompt that lets the character speak. Both
get the extracted facts only, never the whole book.
"""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, Field

from models.reading import Character, Quote, Reading, Tie, WordRef
from pipelines.books.evidence import Place, Shown, words_shown
from tasks.pipeline import step
from tasks.tools import LLM, Checkpoint, Message, Structured

SAMPLE_QUOTES = 60  # of a character's own words, spread over the book
SHOWN_QUOTES = 24  # of those in a prompt
TOP_WORDS = 12
TOP_TIES = 8
MIN_QUOTE_WORDS = 4  # "Yes," says little about anybody

ANALYSIS_TEMPERATURE = 0.3  # first pass: close to the facts (books.md)
PERSONA_TEMPERATURE = 0.7  # second pass: livelier


class Relation(BaseModel):
    """Somebody the character has to do with, and how much (0..1)."""

    name: str
    weight: float
    kin: list[str] = []


class Profile(BaseModel):
    """A character as the book shows them."""

    name: str
    aliases: list[str]
    pronouns: str | None
    is_narrator: bool
    mentions: int
    quote_count: int
    words_spoken: int
    first_chapter: int
    last_chapter: int
    importance: float
    does: list[str]
    undergoes: list[str]
    has: list[str]
    described_as: list[str]
    relations: list[Relation]
    quotes: list[str]
    quote_places: list[Place] = []  # of the quotes, in their order
    described_at: dict[str, list[Shown]] = {}  # what they are described as → where


class CharacterAnalysis(BaseModel):
    """What the first pass finds out about a character."""

    summary: str = Field(description="Two or three sentences on who this is.")
    personality_traits: list[str] = Field(description="Up to eight adjectives.")
    speech_style: str = Field(description="How they speak: length, tone, turns of phrase.")
    motivations: list[str] = []
    relationships: list[str] = []
    themes: list[str] = []
    signature_phrases: list[str] = []


class Persona(BaseModel):
    """A character's voice."""

    name: str
    analysis: CharacterAnalysis
    system_prompt: str
    model: str
    offline: bool


def profiles(reading: Reading, text: str) -> list[Profile]:
    """Return the profile of everybody in the book, the most important first."""
    names = {one.id: one.name for one in reading.characters}
    spoken: dict[int, list[Quote]] = {}
    for quote in reading.quotes:
        if quote.speaker is not None:
            spoken.setdefault(quote.speaker, []).append(quote)
    return [
        _profile(one, names, spoken.get(one.id, []), reading, text) for one in reading.characters
    ]


def _profile(
    one: Character, names: dict[int, str], quotes: list[Quote], reading: Reading, text: str
) -> Profile:
    sample, described = _sample(quotes), _top(one.actions.mod)
    pronoun, probability = max(one.pronouns.items(), key=lambda item: item[1], default=("", 0.0))
    return Profile(
        name=one.name,
        aliases=[alias for alias in one.aliases if alias != one.name][:TOP_WORDS],
        pronouns=pronoun if probability > 0.5 else None,
        is_narrator=one.is_narrator,
        mentions=one.mentions,
        quote_count=one.quotes,
        words_spoken=one.words_spoken,
        first_chapter=one.first_chapter,
        last_chapter=one.last_chapter,
        importance=one.importance,
        does=_top(one.actions.agent),
        undergoes=_top(one.actions.patient),
        has=_top(one.actions.poss),
        described_as=described,
        relations=_relations(one.id, names, reading.relations),
        quotes=[" ".join(quote.text.split()) for quote in sample],
        quote_places=[Place(chapter=q.chapter, start=q.start, end=q.end) for q in sample],
        described_at=words_shown(described, one.actions.mod, text, reading.chapters),
    )


def _top(words: Iterable[WordRef]) -> list[str]:
    return [word for word, _ in Counter(ref.word for ref in words).most_common(TOP_WORDS)]


def _relations(me: int, names: dict[int, str], ties: list[Tie]) -> list[Relation]:
    mine = [
        (tie.b if tie.a == me else tie.a, tie.co_paragraph + tie.turns + 3 * tie.address, tie)
        for tie in ties
        if me in (tie.a, tie.b)
    ]
    strongest = max((weight for _, weight, _ in mine), default=1) or 1
    mine.sort(key=lambda item: -item[1])
    return [
        Relation(name=names[other], weight=round(weight / strongest, 3), kin=list(tie.kin)[:3])
        for other, weight, tie in mine[:TOP_TIES]
        if other in names
    ]


def _sample(quotes: list[Quote]) -> list[Quote]:
    """Return telling quotations, in order and spread evenly over the book."""
    telling = [quote for quote in quotes if len(quote.text.split()) >= MIN_QUOTE_WORDS]
    return telling[:: max(1, len(telling) // SAMPLE_QUOTES)][:SAMPLE_QUOTES]


def analysis_messages(profile: Profile) -> list[Message]:
    """Return the prompt of the first pass."""
    return [
        Message(
            role="system",
            content=(
                "You study a character of a novel. Use the given facts and quotations only; where "
                "they say nothing, leave a list empty rather than guess."
            ),
        ),
        Message(role="user", content=facts(profile)),
    ]


def facts(profile: Profile) -> str:
    """Return a profile as a model reads it."""
    shown = profile.quotes[:: max(1, len(profile.quotes) // SHOWN_QUOTES)][:SHOWN_QUOTES]
    lines = [
        f"Name: {profile.name}",
        f"Also called: {', '.join(profile.aliases) or '-'}",
        f"Pronoun: {profile.pronouns or 'unknown'}",
        f"Does: {', '.join(profile.does)}",
        f"Undergoes: {', '.join(profile.undergoes)}",
        f"Has: {', '.join(profile.has)}",
        f"Is described as: {', '.join(profile.described_as)}",
        "Closest to: " + ", ".join(one.name for one in profile.relations),
        "Own words:",
        *(f"- {quote}" for quote in shown),
    ]
    return "\n".join(lines)


def persona_messages(profile: Profile, analysis: CharacterAnalysis) -> list[Message]:
    """Return the prompt of the second pass."""
    return [
        Message(
            role="system",
            content=(
                "Write a system prompt, in the second person, that lets a model speak as this "
                "character: who they are, what they want, whom they know and how they talk. They "
                "know nothing beyond their book, and never say that they are a model."
            ),
        ),
        Message(role="user", content=f"{facts(profile)}\n\n{analysis.model_dump_json(indent=1)}"),
    ]


@step(idle_s=300)
def write_persona(profile: Profile, forms: Structured, llm: LLM, checkpoint: Checkpoint) -> Persona:
    """Find out who a character is, then how they would speak. Raises Unavailable (retried).

    The analysis is kept when the second pass fails: it is not paid for twice.
    """
    analysis = checkpoint.load(CharacterAnalysis)
    if analysis is None:
        analysis = forms.fill(
            CharacterAnalysis,
            analysis_messages(profile),
            purpose="analysis",
            temperature=ANALYSIS_TEMPERATURE,
            extra={"task": "character_analysis", "facts": profile.model_dump(mode="json")},
        )
        checkpoint.save(analysis)
    return speak_as(profile, analysis, llm)


def speak_as(profile: Profile, analysis: CharacterAnalysis, llm: LLM) -> Persona:
    """Carry out the second pass: ask how such a character speaks. Raises Unavailable."""
    prompt = llm.complete(
        persona_messages(profile, analysis),
        purpose="analysis",
        temperature=PERSONA_TEMPERATURE,
        extra={
            "task": "system_prompt",
            "facts": profile.model_dump(mode="json"),
            "analysis": analysis.model_dump(),
        },
    )
    return Persona(
        name=profile.name,
        analysis=analysis,
        system_prompt=prompt.text,
        model=prompt.model,
        offline=prompt.offline,
    )
