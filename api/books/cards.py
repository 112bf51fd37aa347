"""Personas: to take along as a card or a file, and to be written anew."""

import hashlib
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel

from api.books.portraits import portrait
from api.deps import CHAT, Owner, SessionDep
from api.dialects import speaking
from models.blobs import read_blob
from models.books.library import characters_named, get_book, get_character
from models.files import safe_name
from models.jobs.queries import JobPublic, describe
from pipelines.books.cards import Card, NoPersona, card
from pipelines.books.personas import CharacterAnalysis
from pipelines.books.rewrite_persona import NoAnalysis, RewritePersona, rewrite_persona

router = APIRouter(tags=["books"], **speaking("books"))

IfNoneMatch = Annotated[str | None, Header()]
MEDIA_TYPES = {"json": "application/json", "png": "image/png"}


def _file(data: bytes, media_type: str, name: str, suffix: str, known: str | None) -> Response:
    """Return a file to be saved, or 304 to whoever has it."""
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if known in (etag, f"W/{etag}"):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = (
        f'attachment; filename="{safe_name(name)}{suffix}"; '
        f"filename*=UTF-8''{quote(name + suffix, safe='')}"
    )
    return Response(data, media_type=media_type, headers=headers)


@router.get(
    "/characters/{character_id}/card",
    response_class=Response,
    responses={200: {"model": Card, "content": {"image/png": {}}}, 409: {}},
)
def read_card(
    character_id: UUID,
    session: SessionDep,
    owner: Owner,
    format: Literal["json", "png"] = "json",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A Character Card V2, as JSON or inside of a picture.

    `extensions.longrun` says where in the book each quotation stands and what each trait rests on:
    chapters count from 0, `start` and `end` count characters of the normalised text. 409 for a
    character without a persona.
    """
    row = get_character(session, character_id, owner=owner)
    book = get_book(session, row.book_id, owner=owner)
    relations = (row.profile or {}).get("relations", [])
    known = characters_named(session, book.id, [one["name"] for one in relations])
    data = card(row, book, known).model_dump_json(indent=2).encode()
    if format == "png":
        data = portrait(row.name, book.title, data)
    return _file(data, MEDIA_TYPES[format], row.name, f".card.{format}", if_none_match)


@router.get("/characters/{character_id}/prompt.md", response_class=Response, responses={409: {}})
def read_prompt(
    character_id: UUID, session: SessionDep, owner: Owner, if_none_match: IfNoneMatch = None
) -> Response:
    """The file in which a character's persona was kept when it was made, as Markdown.

    409 for a character without a persona.
    """
    row = get_character(session, character_id, owner=owner)
    if row.prompt_blob is None:
        raise NoPersona(name=row.name)
    data = read_blob(row.prompt_blob)
    return _file(data, "text/markdown; charset=utf-8", row.name, ".md", if_none_match)


class PersonaRequest(BaseModel):
    """What a character is like; without it, as the stored analysis says."""

    analysis: CharacterAnalysis | None = None


@router.post("/characters/{character_id}/persona", status_code=202, dependencies=[CHAT])
def write_anew(
    character_id: UUID,
    body: PersonaRequest,
    response: Response,
    session: SessionDep,
    owner: Owner,
) -> JobPublic:
    """Let a character be written anew from its analysis, as it is or as you have edited it.

    Follow the job for progress. 409 for a character without an analysis, unless you give one.
    """
    row = get_character(session, character_id, owner=owner)
    if body.analysis is None and row.analysis is None:
        raise NoAnalysis()
    wanted = RewritePersona(character_id=row.id, analysis=body.analysis)
    job = rewrite_persona.start(session, wanted, owner=owner)
    response.headers["Location"] = f"/jobs/{job.id}"
    return describe(session, job)
