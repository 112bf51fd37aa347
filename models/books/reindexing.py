"""Books whose live index was made by another embedding model than the one of today."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, Subquery, and_, cast, func, or_, select
from sqlmodel import Session, col

from models.books.library import Book
from models.jobs.tables import JobStatus, job

READING, REINDEXING = "books.ingest", "books.reindex_book"  # what makes versions of an index
UNSUCCESSFUL = (JobStatus.FAILED, JobStatus.CANCELLED)


def stale_books(session: Session, *, model: str, tried_before: datetime, limit: int) -> list[UUID]:
    """Return live books that another model than `model` has indexed, the oldest first.

    Not those of which a version is being made, nor those where that has failed for this model
    since `tried_before`.
    """
    failed = and_(
        job.c.pipeline == REINDEXING,
        job.c.status.in_(UNSUCCESSFUL),
        job.c.finished_at >= tried_before,
        job.c.input["model"].astext == model,
    )
    left_alone = _books_of(or_(_under_way(READING, REINDEXING), failed))
    found = session.execute(
        select(col(Book.id))
        .where(col(Book.index_version) > 0, col(Book.embedding_model).is_distinct_from(model))
        .where(cast(Book.id, String).not_in(left_alone))
        .order_by(col(Book.id))
        .limit(limit)
    )
    return list(found.scalars())


def count_reindexing(session: Session) -> int:
    """Return how many books are being indexed again."""
    counted = select(func.count()).select_from(job).where(_under_way(REINDEXING))
    return session.execute(counted).scalar() or 0


def is_being_read(session: Session, book_id: UUID) -> bool:
    """Say whether a reading of the book has not ended; it makes a version of its own."""
    return str(book_id) in session.execute(_books_of(_under_way(READING))).scalars()


def reindexing_jobs() -> Subquery:
    """Return a query for the jobs that index books again: `id`, and `book_id` as text."""
    again = select(job.c.id, job.c.input["book_id"].astext.label("book_id"))
    return again.where(job.c.pipeline == REINDEXING).subquery()


def _under_way(*pipelines: str) -> ColumnElement[bool]:
    return and_(job.c.pipeline.in_(pipelines), job.c.finished_at.is_(None))


def _books_of(jobs: ColumnElement[bool]) -> Select[tuple[str]]:
    return select(job.c.input["book_id"].astext).where(jobs)
