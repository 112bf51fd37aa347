"""Books and the characters found in them."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response, UploadFile
from pydantic import BaseModel, Field
from sqlmodel import Session

from api.deps import UPLOAD, Limit, Owner, SessionDep
from api.dialects import speaking
from api.once import OnceDep
from config.blobs import BlobStore
from config.products import ExtractorChoice
from config.settings import listed, settings
from models.base import now
from models.blobs import hold_blob, release_blobs
from models.books.library import (
    Book,
    BookNotFound,
    Character,
    MissingBook,
    Priority,
    ProcessingStatus,
    get_book,
    get_character,
    list_books,
    list_characters,
    new_book,
    processing_of,
    start_processing,
)  # fmt: skip
from models.files import FileFormat, FileTooLarge, check_content, format_of, format_of_url
from models.jobs import lifecycle
from models.jobs.queries import eta_s
from models.jobs.tables import TERMINAL, Job
from pipelines import tell_after_commit
from pipelines.books.forget_book import ForgetBook, forget_book
from pipelines.books.ingest import ingest
from pipelines.books.staging import IngestBook

router = APIRouter(tags=["books"], **speaking("books"))


class BookPublic(BaseModel):
    """A book as its owner sees it."""

    id: UUID
    title: str
    author: str
    slug: str
    status: str
    processing_status: ProcessingStatus
    processing_error: dict[str, Any] | None
    processing_version: str | None
    progress: float
    eta_s: float | None  # while it is read in, the seconds that it will still take
    job_id: UUID | None
    total_chapters: int
    total_chunks: int
    has_cover: bool
    created_at: datetime


class BookPage(BaseModel):
    """A page of books, newest first."""

    books: list[BookPublic]
    next: UUID | None


class CharacterPublic(BaseModel):
    """A character of a book."""

    id: UUID
    book_id: UUID
    name: str
    aliases: list[str]
    description: str
    role: str
    pronouns: str | None
    mention_count: int
    quote_count: int
    personality_traits: list[str]
    is_primary: bool
    is_narrator: bool
    has_voice: bool


class CharacterDetail(CharacterPublic):
    """A character with what the book says of them."""

    analysis: dict[str, Any] | None
    profile: dict[str, Any] | None
    system_prompt: str | None


class CharacterPage(BaseModel):
    """A page of a book's cast, the most important first."""

    characters: list[CharacterPublic]
    next: int | None


class ProcessingRequest(BaseModel):
    """A book to read in, and where its file lies."""

    book_id: UUID
    file_url: str = Field(min_length=1, max_length=4000)
    user_id: str
    priority: Priority = Priority.MEDIUM
    top: int | None = Field(None, ge=1, description="So many characters get a persona.")
    min_mentions: int | None = Field(None, ge=1, description="Of those named so often.")
    extractor: ExtractorChoice | None = None


class ProcessingAccepted(BaseModel):
    """The job that reads the book in."""

    status: str = "accepted"
    job_id: UUID


def _public(session: Session, book: Book) -> BookPublic:
    job = session.get(Job, book.job_id) if book.job_id else None
    status, error = processing_of(book, job)
    told = book.model_dump(warnings=False)
    told |= {"processing_status": status, "processing_error": error}
    told["has_cover"] = book.cover_blob is not None
    progress, left = (job.progress, eta_s(job, at=now())) if job else (1.0, None)
    return BookPublic(**told, progress=progress, eta_s=left)


def _character(row: Character) -> CharacterPublic:
    return CharacterPublic(**row.model_dump(), has_voice=row.system_prompt is not None)


@router.post("/books", status_code=201, dependencies=[UPLOAD])
def add_book(
    session: SessionDep,
    owner: Owner,
    response: Response,
    once: OnceDep,
    title: Annotated[str, Form(min_length=1, max_length=300)],
    author: Annotated[str, Form(max_length=300)] = "",
    file: UploadFile | None = None,
    file_url: Annotated[str | None, Form(max_length=4000)] = None,
    priority: Annotated[Priority, Form()] = Priority.MEDIUM,
    top: Annotated[int | None, Form(ge=1)] = None,
    min_mentions: Annotated[int | None, Form(ge=1)] = None,
    extractor: Annotated[ExtractorChoice | None, Form()] = None,
) -> BookPublic:
    """Bring a book, as a file or by its address, and start reading it in.

    Files are .txt and .md, and .epub and .pdf where the server is set so. `top`: at most so many
    characters get a persona, of those named `min_mentions` times. `extractor`: who reads it.
    Follow the job at `Location`. A file that cannot be read is refused at once with 422.
    """

    def begin() -> Job:
        book = new_book(title=title, author=author, owner=owner)
        _bring(session, book, file, file_url)
        return _start(session, book, _wanted(book, top, min_mentions, extractor), priority)

    said = [title, author, once.said_of(file), file_url, priority, top, min_mentions, extractor]
    job = once.start(session, begin, owner=owner, said=said)
    response.headers["Location"] = f"/jobs/{job.id}"
    return _public(session, get_book(session, UUID(job.input["book_id"]), owner=owner))


def _bring(session: Session, book: Book, file: UploadFile | None, file_url: str | None) -> None:
    """Store a new book with its file, or with the address of it."""
    if file is not None:
        _store_upload(session, book, file)
    else:
        book.file_format = format_of_url(file_url or "", _suffixes())
        book.file_url = file_url
    session.add(book)
    session.flush()


def _suffixes() -> list[str]:
    return [f".{one}" for one in listed(settings.books.formats)]


def _wanted(
    book: Book, top: int | None, min_mentions: int | None, extractor: ExtractorChoice | None
) -> IngestBook:
    chosen = {"top": top, "min_mentions": min_mentions, "extractor": extractor}
    given = {name: value for name, value in chosen.items() if value is not None}
    return IngestBook.model_validate({"book_id": book.id, **given})


def _start(session: Session, book: Book, wanted: IngestBook, priority: Priority) -> Job:
    job = ingest.start(session, wanted, owner=book.owner_id, priority=priority.weight)
    start_processing(session, book, job.id)
    return job


def _store_upload(session: Session, book: Book, file: UploadFile) -> None:
    """Keep an uploaded file.

    Raises WrongFileType, FileTooLarge, EmptyFile, NotText, DocumentBroken.
    """
    book.file_format = format_of(file.filename or "", _suffixes())
    data = file.file.read(settings.upload.max_bytes + 1)
    if len(data) > settings.upload.max_bytes:
        raise FileTooLarge(max_bytes=settings.upload.max_bytes)
    check_content(data, book.file_format)
    blob = BlobStore().put(data)
    hold_blob(session, blob, owner=book.owner_id, purpose=f"book:{book.id}")
    book.file_blob = blob.key


@router.get("/books")
def read_books(
    session: SessionDep, owner: Owner, limit: Limit = 20, after: UUID | None = None
) -> BookPage:
    """Your books, newest first."""
    rows = list_books(session, owner=owner, after=after, limit=limit)
    books = [_public(session, row) for row in rows]
    return BookPage(books=books, next=books[-1].id if len(books) == limit else None)


@router.get("/books/{book_id}")
def read_book(book_id: UUID, session: SessionDep, owner: Owner) -> BookPublic:
    """A book and how far it has been read in."""
    return _public(session, get_book(session, book_id, owner=owner))


@router.delete("/books/{book_id}", status_code=204)
def delete_book(book_id: UUID, session: SessionDep, owner: Owner) -> None:
    """Delete a book with its characters and conversations; its reading stops."""
    book = get_book(session, book_id, owner=owner)
    if book.job_id is not None:
        lifecycle.request_cancel(session.connection(), book.job_id)
        tell_after_commit(session, book.job_id, [])
    if book.last_version:
        forget = ForgetBook(book_id=book.id, versions=book.last_version)
        forget_book.start(session, forget, owner=owner)
    release_blobs(session, owner=owner, purpose=f"book:{book.id}")
    release_blobs(session, owner=owner, purpose=f"cover:{book.id}")
    session.delete(book)


@router.get("/books/{book_id}/characters")
def read_characters(
    book_id: UUID,
    session: SessionDep,
    owner: Owner,
    limit: Limit = 50,
    after: Annotated[int, Query(ge=0)] = 0,
) -> CharacterPage:
    """A book's cast, the most important first."""
    get_book(session, book_id, owner=owner)
    rows = list_characters(session, book_id, after=after, limit=limit)
    more = rows[-1].sort_order if len(rows) == limit else None
    return CharacterPage(characters=[_character(row) for row in rows], next=more)


@router.get("/characters/{character_id}")
def read_character(character_id: UUID, session: SessionDep, owner: Owner) -> CharacterDetail:
    """A character with what the book says of them."""
    row = get_character(session, character_id, owner=owner)
    return CharacterDetail(**row.model_dump(), has_voice=row.system_prompt is not None)


@router.post("/character/processing", status_code=202, dependencies=[UPLOAD])
def process_book(
    body: ProcessingRequest,
    session: SessionDep,
    owner: Owner,
    once: OnceDep,
) -> ProcessingAccepted:
    """Read a book in. Its `processing_status` tells how far it is.

    While the same file is being read in the same way, the answer names the job that does it.
    """
    format_of_url(body.file_url)
    said = body.model_dump(mode="json", exclude={"user_id"}, exclude_unset=True)
    job = once.start(session, partial(_process, session, body, owner), owner=owner, said=said)
    return ProcessingAccepted(job_id=job.id)


def _process(session: Session, body: ProcessingRequest, owner: UUID) -> Job:
    try:
        book = get_book(session, body.book_id, owner=owner)
    except BookNotFound:
        raise MissingBook() from None
    session.refresh(book, with_for_update=True)
    wanted = _wanted(book, body.top, body.min_mentions, body.extractor)
    reading = session.get(Job, book.job_id) if book.job_id else None
    if reading is not None and reading.status not in TERMINAL:
        same = reading.input == wanted.model_dump(mode="json")
        if same and book.file_url == body.file_url:
            return reading
    book.file_url, book.file_blob, book.file_format = body.file_url, None, FileFormat.TEXT
    return _start(session, book, wanted, body.priority)
