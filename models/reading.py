"""What reading a book yields: its chapters, its cast, and who says and does what.

All offsets count characters of the normalised text (`models.text.normalise`). The many small things
(mentions, words) are named tuples, so that they are short arrays in JSON.
"""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Gender = Literal["he", "she", "they", "unknown"]
QuoteStyle = Literal["double", "single", "dash", "none"]
Narration = Literal["first", "third"]
QuoteType = Literal["explicit", "anaphoric", "implicit"]
MentionKind = Literal["name", "role", "pronoun"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Chapter(_Record):
    """A stretch of the text under one heading, which stands before `body`."""

    index: int
    title: str
    start: int
    end: int
    body: int


class FormEvidence(_Record):
    """How one run of capitalised words was used in a chapter.

    `words` are as printed, without a possessive ending; `initial` says that the run opens a
    sentence, so that its first word may be capitalised for that reason alone.
    """

    words: tuple[str, ...]
    initial: bool
    count: int
    counts: dict[str, int]  # evidence name → how often (see extractors.runs)


class RoleEvidence(_Record):
    """How often "the <noun>" stood for somebody, and how often that somebody spoke."""

    noun: str
    count: int
    speech: int
    he: int = 0
    she: int = 0


class ChapterScan(_Record):
    """The evidence about names in one chapter, before anybody knows who is who."""

    chapter: int
    tokens: int
    narrated_words: int
    narrated_i: int  # how often "I" stands outside quotation marks
    quote_style: QuoteStyle
    lowercase: dict[str, int]  # words of interest → how often they are not capitalised
    forms: list[FormEvidence]
    roles: list[RoleEvidence]
    introductions: dict[str, int] = {}  # "my name is …" in narration → how often
    links: list[tuple[str, str]] = []  # "Griffin, the stranger": two names for one person


class CastMember(_Record):
    """Somebody in the book. Id 0 is the narrator of a first-person book."""

    id: int
    name: str
    aliases: dict[str, int]  # surface as printed → how often, most frequent first
    gender: Gender
    pronouns: dict[str, float]  # he / she / they → probability
    is_narrator: bool = False
    role: bool = False  # known only by what they are: "the Hatter", "the stranger"


class CastList(_Record):
    """The book's cast, and how to recognise it in a chapter."""

    members: list[CastMember]
    surfaces: dict[str, int]  # normalised surface → member id
    blocked: list[str]  # normalised surfaces of no person that contain a person's
    ambiguous: list[str]  # names that are ordinary words at the start of a sentence
    narration: Narration
    quote_style: QuoteStyle
    language: str = "en"


class Mention(NamedTuple):
    """A place where a character is named or meant."""

    start: int
    end: int
    character: int
    kind: MentionKind


class WordRef(NamedTuple):
    """A word said about a character, and where it stands."""

    word: str
    start: int


class Candidate(NamedTuple):
    """Somebody who may have spoken, with a probability; `character` is None outside the cast."""

    character: int | None
    name: str
    probability: float


class Quote(_Record):
    """A stretch of direct speech with its quotation marks."""

    start: int
    end: int
    chapter: int
    text: str
    speaker: int | None
    speaker_name: str | None  # also set for somebody outside the cast: "waiter"
    addressees: list[int]
    type: QuoteType
    cue: str | None  # the verb of speech
    confidence: float
    candidates: list[Candidate]


class Actions(_Record):
    """What a character does, undergoes, has and is."""

    agent: list[WordRef] = []
    patient: list[WordRef] = []
    poss: list[WordRef] = []
    mod: list[WordRef] = []


class Tie(_Record):
    """How strongly two characters (`a` < `b`) are tied."""

    a: int
    b: int
    co_paragraph: int = 0
    turns: int = 0  # consecutive turns of dialogue
    address: int = 0  # one speaks to the other by name
    kin: dict[str, int] = {}  # "sister", "his wife" … → how often
    chapters: list[int] = []  # where the two are tied, in order


class ChapterReading(_Record):
    """One chapter read with the cast known."""

    chapter: int
    tokens: int
    mentions: list[Mention]
    quotes: list[Quote]
    actions: dict[int, Actions]
    ties: list[Tie]


class BookFacts(_Record):
    """What is true of the book as a whole, and what read it."""

    language: str
    quote_style: QuoteStyle
    narration: Narration
    backend: str
    version: str
    tokens: int
    sha256: str


class Character(_Record):
    """A member of the cast with all that the book says of them."""

    id: int
    name: str
    aliases: dict[str, int]
    gender: Gender
    pronouns: dict[str, float]
    is_narrator: bool
    mentions: int  # by name or role
    pronoun_mentions: int
    quotes: int
    words_spoken: int
    first_chapter: int
    last_chapter: int
    importance: float  # 0..1, the most important is 1
    actions: Actions


class Reading(_Record):
    """A whole book, read."""

    book: BookFacts
    chapters: list[Chapter]
    characters: list[Character]  # most important first
    quotes: list[Quote]
    mentions: list[Mention]
    relations: list[Tie]  # strongest first
