"""Personas as files: what a character was made, readable without this platform."""

import json
from uuid import UUID

from pydantic import BaseModel

from models.blobs import Blob
from models.files import safe_name
from pipelines.books.personas import Persona
from pipelines.books.staging import Edition
from tasks.pipeline import step
from tasks.tools import Blobs


class PersonaFile(BaseModel):
    """One persona's file, in the blob store. `path` is where it would lie in a folder."""

    name: str
    path: str
    blob: Blob


class PersonaFiles(BaseModel):
    """The files of all personas, in the order of the cast."""

    files: list[PersonaFile]


@step()
def back_up_personas(edition: Edition, personas: list[Persona], blobs: Blobs) -> PersonaFiles:
    """Write each persona into the blob store, as Markdown. Safe to repeat."""
    return PersonaFiles(
        files=[file_of(edition.book_id, edition.version, persona, blobs) for persona in personas]
    )


def file_of(book_id: UUID, version: int, persona: Persona, blobs: Blobs) -> PersonaFile:
    """Write one persona into the blob store. Safe to repeat."""
    return PersonaFile(
        name=persona.name,
        path=f"{book_id}/{safe_name(persona.name)}.md",
        blob=blobs.put(persona_file(book_id, version, persona).encode()),
    )


def persona_file(book_id: UUID, version: int, persona: Persona) -> str:
    """Return a persona as Markdown: front matter, the prompt as it is, the analysis as JSON."""
    head = {
        "name": persona.name,
        "book_id": str(book_id),
        "version": version,
        "model": persona.model,
        "offline": persona.offline,
    }
    # JSON is YAML, so whatever somebody is called, the front matter can be read back.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    analysis = persona.analysis.model_dump_json(indent=2)
    return (
        "---\n" + "\n".join(lines) + "\n---\n\n"
        f"# {persona.name}\n\n{persona.system_prompt.strip()}\n\n"
        f"## Analysis\n\n```json\n{analysis}\n```\n"
    )
