"""Versions of books' indexes that nothing reads any more."""

from datetime import datetime

from sqlmodel import Session, col, select

from models.books.library import Book, collection_name
from models.jobs.tables import Job

LOOKED_BACK = 50  # versions: more readings than that within a day leave some behind


def leftover_collections(session: Session, *, read_from: datetime, read_to: datetime) -> list[str]:
    """Return the collections that readings which ended between two moments have left behind.

    Those are the versions before the live one, and the later ones of readings that failed. A book
    that is being read in has none.
    """
    rows = session.exec(
        select(Book)
        .join(Job, col(Book.job_id) == col(Job.id))
        .where(col(Job.finished_at) >= read_from, col(Job.finished_at) < read_to)
        .order_by(col(Book.id))
    )
    return [
        collection_name(book.id, version)
        for book in rows
        for version in range(max(1, book.index_version - LOOKED_BACK), book.last_version + 1)
        if version != book.index_version
    ]
