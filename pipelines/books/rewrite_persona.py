"""Let a character speak differently: the second pass alone, over the analysis or an edited one."""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.blobs import hold_blob
from models.books.library import get_book, get_character
from models.errors import Conflict
from pipelines.books.backups import PersonaFile, file_of
from pipelines.books.personas import CharacterAnalysis, Persona, Profile, speak_as
from tasks.pipeline import Pipeline, step
from tasks.tools import LLM, Blobs, JobRef


class RewritePersona(BaseModel):
    """The character, and what is said of them instead of the stored analysis."""

    character_id: UUID
    analysis: CharacterAnalysis | None = None


class Known(BaseModel):
    """What the persona is written from."""

    book_id: UUID
    version: int
    profile: Profile
    analysis: CharacterAnalysis


class Rewritten(BaseModel):
    """The character that speaks anew."""

    character_id: UUID


class NoAnalysis(Conflict):
    """This character has no analysis yet: give one."""

    code = "no_analysis"


def know_character(wanted: RewritePersona, job: JobRef, session: Session) -> Known:
    """Read what the book says of the character. Raises CharacterNotFound, NoAnalysis."""
    row = get_character(session, wanted.character_id, owner=job.owner_id)
    analysis = wanted.analysis or row.analysis
    if analysis is None or row.profile is None:
        raise NoAnalysis()
    book = get_book(session, row.book_id, owner=job.owner_id)
    return Known(
        book_id=book.id,
        version=book.index_version,
        profile=Profile.model_validate(row.profile),
        analysis=CharacterAnalysis.model_validate(analysis, from_attributes=True),
    )


@step(idle_s=300)
def write_prompt(known: Known, llm: LLM) -> Persona:
    """Ask the model how the character would speak. Raises Unavailable (retried)."""
    return speak_as(known.profile, known.analysis, llm)


@step()
def back_up_persona(known: Known, persona: Persona, blobs: Blobs) -> PersonaFile:
    """Write the persona into the blob store, as Markdown. Safe to repeat."""
    return file_of(known.book_id, known.version, persona, blobs)


def give_voice(
    wanted: RewritePersona, known: Known, persona: Persona, file: PersonaFile, job: JobRef,
    session: Session,
) -> Rewritten:  # fmt: skip
    """Let the character speak so from now on. Raises CharacterNotFound."""
    row = get_character(session, wanted.character_id, owner=job.owner_id)
    hold_blob(session, file.blob, owner=job.owner_id, purpose=f"book:{known.book_id}")
    row.description = persona.analysis.summary
    row.personality_traits = persona.analysis.personality_traits
    row.analysis = persona.analysis.model_dump()
    row.system_prompt, row.prompt_blob = persona.system_prompt, file.blob.key
    row.is_primary = True
    session.add(row)
    return Rewritten(character_id=row.id)


rewrite_persona = Pipeline(
    "books.rewrite_persona",
    know_character,
    write_prompt,
    back_up_persona,
    give_voice,
    input=RewritePersona,
)
