"""Drop versions of books' indexes that no conversation can still be reading."""

from datetime import timedelta

from pydantic import BaseModel
from sqlmodel import Session

from models.base import now
from models.books.leftovers import leftover_collections
from tasks.firing import upkeep
from tasks.pipeline import Pipeline, each, step
from tasks.tools import Keywords, Vectors

EVERY_S = 86_400
SETTLED = timedelta(days=1)  # far longer than a reply takes to write
REMEMBERED = timedelta(days=8)  # so long may the upkeep have been away


class SweepIndexes(BaseModel):
    """Nothing needs to be said."""


class Collection(BaseModel):
    """A collection, in whatever indexes have it."""

    name: str


class Leftovers(BaseModel):
    """Collections that nothing reads any more."""

    collections: list[Collection]


class DroppedCollection(BaseModel):
    """A collection that is gone."""

    name: str


class SweptIndexes(BaseModel):
    """How many collections were dropped."""

    collections: int


def list_leftovers(wanted: SweepIndexes, session: Session) -> Leftovers:
    """Find what readings of the last days have left behind."""
    at = now()
    names = leftover_collections(session, read_from=at - REMEMBERED, read_to=at - SETTLED)
    return Leftovers(collections=[Collection(name=name) for name in names])


@step()
def drop_collection(
    collection: Collection, vectors: Vectors, keywords: Keywords
) -> DroppedCollection:
    """Drop a collection from both indexes. Raises Unavailable (retried)."""
    vectors.drop(collection.name)
    keywords.drop(collection.name)
    return DroppedCollection(name=collection.name)


def count_dropped(dropped: list[DroppedCollection]) -> SweptIndexes:
    """Say how much there was to do."""
    return SweptIndexes(collections=len(dropped))


sweep_indexes = Pipeline(
    "books.sweep_indexes",
    list_leftovers,
    each(drop_collection, over=Leftovers, items="collections", key="name", optional=True),
    count_dropped,
    input=SweepIndexes,
)
upkeep(sweep_indexes, every_s=EVERY_S)
