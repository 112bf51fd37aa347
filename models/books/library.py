"""Books and the characters found in them."""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index, String, delete, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, Session, SQLModel, select

from models.base import jsonb, new_id, now, one_of, timestamp
from models.errors import NotFound, Unprocessable
from models.files import FileFormat
from models.jobs.tables import Job


class ProcessingStatus(StrEnum):
    """How far a book has been read in."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Priority(StrEnum):
    """How soon a book is read in, compared with others that wait."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def weight(self) -> int:
        """The job's priority; Celery's brokers tell 0 to 9 apart around 5."""
        return {"low": -4, "medium": 0, "high": 4}[self]


class Review(StrEnum):
    """Whether a book is shown."""

    DRAFT = "draft"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DISABLED = "disabled"


class Book(SQLModel, table=True):
    """A book that somebody has brought, and which version of its index is live."""

    __table_args__ = (
        CheckConstraint(f"status IN ({one_of(Review)})", name="status_is_known"),
        CheckConstraint(
            f"processing_status IN ({one_of(ProcessingStatus)})", name="processing_is_known"
        ),
        CheckConstraint(f"file_format IN ({one_of(FileFormat)})", name="file_format_is_known"),
        Index("ix_book_owner_id_id", "owner_id", "id"),
    )

    id: UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    title: str
    slug: str
    author: str = ""
    description: str = ""
    status: Review = Field(default=Review.DRAFT, sa_column=Column(String, nullable=False))
    processing_status: ProcessingStatus = Field(
        default=ProcessingStatus.PENDING, sa_column=Column(String, nullable=False)
    )
    processing_version: str | None = None  # which extractor made the data
    file_url: str | None = None
    file_blob: str | None = None  # the uploaded file's key in the blob store
    file_format: FileFormat = Field(
        default=FileFormat.TEXT, sa_column=Column(String, nullable=False, server_default="text")
    )
    cover_blob: str | None = None  # a JPEG's key in the blob store
    job_id: UUID | None = Field(default=None, foreign_key="job.id", ondelete="SET NULL")
    last_version: int = 0  # the number that the newest reading has taken
    index_version: int = 0  # the live version of the collections; 0: none yet
    embedding_model: str | None = None  # what made the live version's vectors
    embedding_dimension: int | None = None
    total_chunks: int = 0
    total_chapters: int = 0
    chapters: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=jsonb(nullable=False, default="[]")
    )  # of the live version, each a `horizon.ChapterEnd`
    created_at: datetime = timestamp(default_now=True)
    updated_at: datetime = timestamp(default_now=True)

    def collection(self, version: int | None = None) -> str:
        """Return the name of the collections of a version; default: the live one."""
        return collection_name(self.id, self.index_version if version is None else version)


class Character(SQLModel, table=True):
    """A character of a book, with the prompt that lets it speak."""

    __table_args__ = (Index("ix_character_book_id_sort_order", "book_id", "sort_order"),)

    id: UUID = Field(primary_key=True)  # derived from the book and the name
    book_id: UUID = Field(foreign_key="book.id", ondelete="CASCADE")
    name: str
    description: str = ""
    aliases: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(String), nullable=False)
    )
    role: str = "supporting"
    pronouns: str | None = None
    mention_count: int = 0
    quote_count: int = 0
    personality_traits: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(String), nullable=False)
    )
    analysis: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    profile: dict[str, Any] | None = Field(default=None, sa_column=jsonb())
    system_prompt: str | None = None  # empty: mentioned, but not given a voice
    prompt_blob: str | None = None  # its file's key in the blob store
    processing_version: str = ""
    is_primary: bool = False
    is_narrator: bool = False
    sort_order: int = 0
    created_at: datetime = timestamp(default_now=True)


class BookNotFound(NotFound):
    """There is no such book."""

    code = "book_not_found"


class MissingBook(Unprocessable):
    """The book to process does not exist."""

    code = "missing_book"


class CharacterNotFound(NotFound):
    """There is no such character."""

    code = "character_not_found"


def collection_name(book_id: UUID, version: int) -> str:
    """Return the name of a book's collections of one version, in every index."""
    return f"{book_id}_v{version}"


def new_book(*, title: str, author: str, owner: UUID) -> Book:
    """Return a book that is not stored yet."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80] or "book"
    return Book(title=title, author=author, slug=slug, owner_id=owner)


def get_book(session: Session, book_id: UUID, *, owner: UUID) -> Book:
    """Return the owner's book. Raises BookNotFound, also for somebody else's book."""
    book = session.get(Book, book_id)
    if book is None or book.owner_id != owner:
        raise BookNotFound()
    return book


def list_books(session: Session, *, owner: UUID, after: UUID | None, limit: int) -> list[Book]:
    """Return the owner's books, newest first, those before `after`."""
    query = select(Book).where(Book.owner_id == owner).order_by(Book.id.desc()).limit(limit)  # type: ignore[attr-defined]
    if after is not None:
        query = query.where(Book.id < after)
    return list(session.exec(query))


def start_processing(session: Session, book: Book, job_id: UUID) -> None:
    """Note which job reads the book in; what is live stays live meanwhile."""
    book.job_id = job_id
    book.processing_status = ProcessingStatus.QUEUED
    book.updated_at = now()
    session.add(book)
    session.flush()


def lock_book(session: Session, book_id: UUID) -> Book:
    """Return a book that nobody else changes until the transaction ends. Raises BookNotFound."""
    book = session.exec(select(Book).where(Book.id == book_id).with_for_update()).one_or_none()
    if book is None:
        raise BookNotFound()
    return book


def open_version(session: Session, book_id: UUID) -> Book:
    """Give a reading its own version number, so that it never touches what is live."""
    book = lock_book(session, book_id)
    book.last_version += 1
    book.processing_status = ProcessingStatus.PROCESSING
    session.add(book)
    session.flush()
    return book


def processing_of(book: Book, job: Job | None) -> tuple[ProcessingStatus, dict[str, Any] | None]:
    """Return a book's status and error as its job says; the job's row is the truth.

    The engine's words are translated: cancelled counts as failed.
    """
    if job is None:
        return ProcessingStatus(book.processing_status), None
    words = {
        "queued": ProcessingStatus.QUEUED,
        "succeeded": ProcessingStatus.COMPLETED,
        "succeeded_degraded": ProcessingStatus.COMPLETED,
        "failed": ProcessingStatus.FAILED,
        "cancelled": ProcessingStatus.FAILED,
    }
    cancelled = {"code": "cancelled", "message": "The reading was cancelled."}
    error = job.error or (cancelled if job.status == "cancelled" else None)
    return words.get(job.status, ProcessingStatus.PROCESSING), error


def get_character(session: Session, character_id: UUID, *, owner: UUID) -> Character:
    """Return a character of one of the owner's books. Raises CharacterNotFound."""
    character = session.get(Character, character_id)
    if character is None or session.get_one(Book, character.book_id).owner_id != owner:
        raise CharacterNotFound()
    return character


def list_characters(session: Session, book_id: UUID, *, after: int, limit: int) -> list[Character]:
    """Return a book's cast, the most important first, beyond place `after`."""
    query = (
        select(Character)
        .where(Character.book_id == book_id, Character.sort_order > after)
        .order_by(Character.sort_order)  # type: ignore[arg-type]
        .limit(limit)
    )
    return list(session.exec(query))


def characters_named(session: Session, book_id: UUID, names: Sequence[str]) -> list[Character]:
    """Return those of a book's characters who have one of these names, the most important first."""
    query = select(Character).where(
        Character.book_id == book_id,
        Character.name.in_(names),  # type: ignore[attr-defined]
    )
    return list(session.exec(query.order_by(Character.sort_order)))  # type: ignore[arg-type]


def count_voices(session: Session, book_id: UUID) -> int:
    """Return how many of a book's characters have a voice."""
    voiced = select(func.count()).where(Character.book_id == book_id, Character.is_primary)
    return session.exec(voiced).one()


def replace_cast(session: Session, book: Book, cast: list[Character]) -> None:
    """Make `cast` the book's characters. Those who stay keep their id and their conversations."""
    keep = [character.id for character in cast]
    session.execute(
        delete(Character).where(
            Character.book_id == book.id,  # type: ignore[arg-type]
            Character.id.not_in(keep),  # type: ignore[attr-defined]
        )
    )
    for character in cast:
        session.merge(character)
