"""Characters as cards that other chat programs read, with the book as their witness.

Source of the fields: Character Card V2, https://github.com/malfoyslastname/character-card-spec-v2
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel

from models.books.library import Book, Character
from models.errors import Conflict
from pipelines.books.evidence import Place
from pipelines.books.personas import CharacterAnalysis, Profile, Relation

EXAMPLES = 8  # quotations that show how somebody speaks
GREETINGS = 4  # first messages to choose from, the first one included
GREETING_WORDS = (4, 40)  # of a quotation that may open a conversation
CLOSE, ACQUAINTED = 0.6, 0.25  # weights of a relation, 1 is the character's strongest


class NoPersona(Conflict):
    """This character has not been given a persona."""

    code = "no_persona"


class CardEntry(BaseModel):
    """What to know when one of `keys` is spoken of."""

    keys: list[str]
    content: str
    extensions: dict[str, Any] = {}
    enabled: bool = True
    insertion_order: int
    case_sensitive: bool = False
    name: str
    priority: int
    id: int


class CardBook(BaseModel):
    """What a character knows, to be put in where it is spoken of."""

    name: str
    description: str
    extensions: dict[str, Any] = {}
    entries: list[CardEntry]


class CardData(BaseModel):
    """A character."""

    name: str
    description: str
    personality: str
    scenario: str
    first_mes: str
    mes_example: str
    creator_notes: str
    system_prompt: str
    post_history_instructions: str = ""
    alternate_greetings: list[str]
    character_book: CardBook
    tags: list[str]
    creator: str = "Longrun"
    character_version: str
    extensions: dict[str, Any]


class Card(BaseModel):
    """A Character Card V2."""

    spec: Literal["chara_card_v2"] = "chara_card_v2"
    spec_version: Literal["2.0"] = "2.0"
    data: CardData


def card(character: Character, book: Book, known: Sequence[Character]) -> Card:
    """Return a character's card; `known` are those it has to do with. Raises NoPersona."""
    if not (character.system_prompt and character.analysis and character.profile):
        raise NoPersona(name=character.name)
    analysis = CharacterAnalysis.model_validate(character.analysis)
    profile = Profile.model_validate(character.profile)
    greetings = _greetings(profile.quotes)
    return Card(
        data=CardData(
            name=character.name,
            description=_description(analysis, profile),
            personality=_personality(analysis),
            scenario=f"{{{{user}}}} meets {{{{char}}}} in the world of {_titled(book)}.",
            first_mes=greetings[0],
            mes_example="\n".join(f"<START>\n{{{{char}}}}: {one}" for one in _examples(profile)),
            creator_notes=_notes(character, book, profile),
            system_prompt=character.system_prompt,
            alternate_greetings=greetings[1:],
            character_book=_book(character.name, profile, known),
            tags=[one for one in (book.title, book.author, character.role) if one],
            character_version=f"{book.index_version} ({character.processing_version})",
            extensions={"longrun": _witness(character, book, analysis, profile)},
        )
    )


def _titled(book: Book) -> str:
    return f"“{book.title}”" + (f" by {book.author}" if book.author else "")


def _description(analysis: CharacterAnalysis, profile: Profile) -> str:
    lines = [
        analysis.summary,
        f"Also called: {', '.join(profile.aliases)}." if profile.aliases else "",
        f"Described as: {', '.join(profile.described_as)}." if profile.described_as else "",
    ]
    return "\n".join(filter(None, lines))


def _personality(analysis: CharacterAnalysis) -> str:
    traits = ", ".join(analysis.personality_traits)
    return "\n".join(filter(None, [traits, analysis.speech_style, *analysis.motivations]))


def _greetings(quotes: Sequence[str]) -> list[str]:
    """Return own words to open with; whoever never says such a thing is only looked at."""
    least, most = GREETING_WORDS
    fitting = [quote for quote in quotes if least <= len(quote.split()) <= most]
    return fitting[:GREETINGS] or ["*{{char}} looks up as {{user}} comes near.*"]


def _examples(profile: Profile) -> list[str]:
    return profile.quotes[:: max(1, len(profile.quotes) // EXAMPLES)][:EXAMPLES]


def _notes(character: Character, book: Book, profile: Profile) -> str:
    return (
        f"Made by Longrun from {_titled(book)}: named {character.mention_count} times, heard "
        f"{character.quote_count} times, by the extractor {character.processing_version}. All "
        f"{len(profile.quotes)} quotations are the book's own words; extensions.longrun says "
        "where each of them stands, and what the traits rest on."
    )


def _book(name: str, profile: Profile, known: Sequence[Character]) -> CardBook:
    others = {one.name: one for one in known}
    return CardBook(
        name=f"People {name} knows",
        description="Made from who speaks to whom, and who is together, in the book.",
        entries=[
            _entry(place, relation, others.get(relation.name))
            for place, relation in enumerate(profile.relations)
        ],
    )


def _entry(place: int, relation: Relation, other: Character | None) -> CardEntry:
    near = (
        "close to" if relation.weight >= CLOSE
        else "well known to" if relation.weight >= ACQUAINTED
        else "known to"
    )  # fmt: skip
    kin = f" ({', '.join(relation.kin)})" if relation.kin else ""
    told = f"{relation.name} is {near} {{{{char}}}}{kin}."
    return CardEntry(
        keys=[relation.name, *(other.aliases if other else [])],
        content=" ".join(filter(None, [told, other.description if other else ""])),
        extensions={"longrun": relation.model_dump()},
        insertion_order=place,
        name=relation.name,
        priority=round(100 * relation.weight),
        id=place,
    )


def _witness(
    character: Character, book: Book, analysis: CharacterAnalysis, profile: Profile
) -> dict[str, Any]:
    """Return where the book says it: chapters from 0, offsets in the normalised text."""
    return {
        "book": {"id": str(book.id), "title": book.title, "author": book.author},
        "character": {
            "id": str(character.id),
            "aliases": profile.aliases,
            "pronouns": profile.pronouns,
            "first_chapter": profile.first_chapter,
            "last_chapter": profile.last_chapter,
        },
        "quotes": _quoted(profile.quotes, profile),
        "traits": [
            {"trait": trait, "evidence": _shown(trait, profile)}
            for trait in analysis.personality_traits
        ],
        "phrases": [
            {"phrase": one, "evidence": _quoted([q for q in profile.quotes if one in q], profile)}
            for one in analysis.signature_phrases
        ],
        "described_as": {
            word: [one.model_dump() for one in places]
            for word, places in profile.described_at.items()
        },
    }


def _quoted(quotes: Sequence[str], profile: Profile) -> list[dict[str, Any]]:
    places: dict[str, Place] = dict(zip(profile.quotes, profile.quote_places, strict=False))
    return [{"text": one} | (places[one].model_dump() if one in places else {}) for one in quotes]


def _shown(trait: str, profile: Profile) -> list[dict[str, Any]]:
    """Return the passages that say a trait in so many words; a model may have inferred it."""
    said = {word.strip(".,;").casefold() for word in trait.split()}
    return [
        one.model_dump()
        for word, places in profile.described_at.items()
        if word.casefold() in said
        for one in places
    ]
