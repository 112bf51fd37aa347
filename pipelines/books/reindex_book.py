"""Index a book again with the embedding model of today; its text and its cast stay as they are.

The new version is built beside the live one, from the passages that lie in the keyword index.
"""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.books.library import collection_name, lock_book
from models.books.reindexing import REINDEXING, is_being_read
from models.errors import Unprocessable
from pipelines.books.indexing import (
    Chunks,
    Index,
    IndexedBatch,
    index_batch,
    keep_chunks,
    open_index,
)  # fmt: skip
from pipelines.books.staging import Edition
from tasks.pipeline import Concurrency, Pipeline, each, step
from tasks.tools import Blobs, Embedder, Keywords, Vectors


class ReindexBook(BaseModel):
    """The book, and the model that is to have made its vectors."""

    book_id: UUID
    model: str


class Renewal(BaseModel):
    """Which version is made out of which; without a number there is nothing to do."""

    book_id: UUID
    live: int
    version: int | None
    passages: int


class Reindexed(BaseModel):
    """The live version, and whether it is the one that was made."""

    version: int
    flipped: bool


class PassagesLost(Unprocessable):
    """The keyword index does not hold all of the book: it has to be read in again."""

    code = "passages_lost"


def open_renewal(wanted: ReindexBook, session: Session) -> Renewal:
    """Take the next version number, unless the book is up to date or being read. Raises
    BookNotFound."""
    book = lock_book(session, wanted.book_id)
    due = book.index_version > 0 and book.embedding_model != wanted.model
    if due := due and not is_being_read(session, book.id):
        book.last_version += 1
    return Renewal(
        book_id=book.id,
        live=book.index_version,
        version=book.last_version if due else None,
        passages=book.total_chunks,
    )


@step(idle_s=300)
def gather_passages(renewal: Renewal, keywords: Keywords, blobs: Blobs) -> Chunks:
    """Collect the passages of the live version. Raises PassagesLost; Unavailable is retried."""
    if renewal.version is None:
        return keep_chunks([], [], blobs)
    found = keywords.passages(collection_name(renewal.book_id, renewal.live))
    if len(found) < renewal.passages:
        raise PassagesLost(found=len(found), passages=renewal.passages)
    return keep_chunks(found, [], blobs)


@step()
def open_beside(
    renewal: Renewal, chunks: Chunks, embedder: Embedder, vectors: Vectors, keywords: Keywords
) -> Index:
    """Make the new version's collections; the live one's are never touched."""
    if renewal.version is None:
        live = collection_name(renewal.book_id, renewal.live)
        return Index(collection=live, model="", dimension=0, batches=[])
    edition = Edition(
        book_id=renewal.book_id, version=renewal.version, file_url=None, file_blob=None
    )
    return open_index(edition, chunks, embedder, vectors, keywords)


def flip(
    renewal: Renewal, index: Index, indexed: list[IndexedBatch], session: Session
) -> Reindexed:
    """Let the book be searched in the new version, unless a reading has begun since."""
    book = lock_book(session, renewal.book_id)
    flipped = renewal.version == book.last_version and renewal.live == book.index_version
    if flipped:
        book.index_version = book.last_version
        book.embedding_model, book.embedding_dimension = index.model, index.dimension
    return Reindexed(version=book.index_version, flipped=flipped)


reindex_book = Pipeline(
    REINDEXING,
    open_renewal,
    gather_passages,
    open_beside,
    each(index_batch, over=Index, items="batches", key="number"),
    flip,
    input=ReindexBook,
    concurrency=Concurrency(key="book_id"),
)
