"""Versions of books' indexes that nothing reads any more."""

from datetime import datetime

from sqlalchemy import String, cast, func
from sqlmodel import Session, col, select

from models.books.library import Book, collection_name
from models.books.reindexing import reindexing_jobs
from models.jobs.tables import Job

LOOKED_BACK = 50  # versions: more readings than that within a day leave some behind


def leftover_collections(session: Session, *, read_from: datetime, read_to: datetime) -> list[str]:
    """Return the collections left behind where the last reading ended between two moments.

    To index again counts as reading. Those are the versions before the live one: a later one is of
    a reading that failed, which somebody may resume. A book of which a version is being made has
    none.
    """
    again = reindexing_jobs()
    last = func.max(Job.finished_at)
    rows = session.exec(
        select(Book)
        .outerjoin(again, again.c.book_id == cast(Book.id, String))
        .join(Job, (col(Job.id) == Book.job_id) | (col(Job.id) == again.c.id))
        .group_by(col(Book.id))
        .having(func.bool_and(col(Job.finished_at).is_not(None)))
        .having(last >= read_from, last < read_to)
        .order_by(col(Book.id))
    )
    return [
        collection_name(book.id, version)
        for book in rows
        for version in range(max(1, book.index_version - LOOKED_BACK), book.index_version)
    ]
