"""Drop what the indexes hold of a book that was deleted."""

from uuid import UUID

from pydantic import BaseModel

from models.books.library import collection_name
from tasks.pipeline import Pipeline, step
from tasks.tools import Keywords, Vectors


class ForgetBook(BaseModel):
    """A deleted book, and how many versions of its index there ever were."""

    book_id: UUID
    versions: int


class Forgotten(BaseModel):
    """How many collections were dropped."""

    collections: int


@step()
def drop_collections(book: ForgetBook, vectors: Vectors, keywords: Keywords) -> Forgotten:
    """Drop every version of the book's collections. Raises Unavailable (retried)."""
    for version in range(1, book.versions + 1):
        vectors.drop(collection_name(book.book_id, version))
        keywords.drop(collection_name(book.book_id, version))
    return Forgotten(collections=2 * book.versions)


forget_book = Pipeline("books.forget_book", drop_collections, input=ForgetBook)
