"""Have books indexed again that another embedding model than the one of today has indexed."""

from datetime import timedelta

from pydantic import BaseModel
from sqlmodel import Session

from models.accounts import SYSTEM_USER_ID
from models.base import now
from models.books.library import Priority
from models.books.reindexing import count_reindexing, stale_books
from pipelines.books.reindex_book import ReindexBook, reindex_book
from tasks.firing import upkeep
from tasks.pipeline import Pipeline, step
from tasks.tools import Embedder

EVERY_S = 300
AT_ONCE = 8  # books under way: readings and conversations share the model with them
TRIED_AGAIN = timedelta(days=1)  # after a failure; what a model refuses today is paid for again


class RenewIndexes(BaseModel):
    """Nothing needs to be said."""


class CurrentModel(BaseModel):
    """The model that embeds what is indexed from now on."""

    name: str


class Renewed(BaseModel):
    """How many books are indexed again from now on."""

    books: int


@step()
def name_model(wanted: RenewIndexes, embedder: Embedder) -> CurrentModel:
    """Ask which model embeds. Raises Unavailable (retried): nothing begins while it is away."""
    return CurrentModel(name=embedder.model().name)


def start_reindexing(model: CurrentModel, session: Session) -> Renewed:
    """Start a job for each book that is due, a few at a time. The platform pays, not the owner."""
    found = stale_books(
        session,
        model=model.name,
        tried_before=now() - TRIED_AGAIN,
        limit=max(0, AT_ONCE - count_reindexing(session)),
    )
    for book_id in found:
        wanted = ReindexBook(book_id=book_id, model=model.name)
        reindex_book.start(
            session, wanted, owner=SYSTEM_USER_ID, priority=Priority.LOW.weight
        )  # fmt: skip
    return Renewed(books=len(found))


renew_indexes = Pipeline(
    "books.renew_indexes", name_model, start_reindexing, input=RenewIndexes
)  # fmt: skip
upkeep(renew_indexes, every_s=EVERY_S)
