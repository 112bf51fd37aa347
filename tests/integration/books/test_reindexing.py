"""Another embedding model is set: books move to it, and are searched all the while."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

from config.blobs import BlobStore
from config.db import transaction
from models.accounts import SYSTEM_USER_ID
from models.base import now
from models.books.leftovers import leftover_collections
from models.books.library import Book, collection_name, open_version
from models.books.reindexing import stale_books
from models.jobs.queries import job_output
from models.jobs.tables import Job, JobStatus
from pipelines.books import indexing, renew_indexes
from pipelines.books.indexing import Index, keep_chunks, open_index
from pipelines.books.ingest import ingest
from pipelines.books.reindex_book import ReindexBook, flip, open_renewal, reindex_book
from pipelines.books.retrieval import HybridSearch
from pipelines.books.staging import Edition, IngestBook
from tasks.adapters.keywords import PgKeywords
from tasks.adapters.vectors import PgVectors
from tasks.refusals import ModelRefused
from tasks.toolbox import TOOLS
from tasks.tools import Embedder, EmbeddingModel, Keywords, Passage, Vectors
from tests.fakes import FakeEmbedder, FakeReranker
from tests.inline import drain
from tests.integration.books.talk import PASSAGES, Given
from tests.pipelines import OWNER

OLD, NEW = "fake/old", "fake/new"  # vectors of 26 numbers, and of 13
QUESTION = "Where did Bob walk?"


class Models(FakeEmbedder):
    """Two models of different dimensions; the one that is set can be told to refuse."""

    current = OLD
    refuses: str | None = None  # a passage's text

    def model(self) -> EmbeddingModel:
        return EmbeddingModel(name=self.current, dimension=self.dimension(self.current))

    def dimension(self, model: str) -> int:
        return 26 if model == OLD else 13

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        if self.refuses in texts:
            raise ModelRefused("Not this one.")
        made = super().embed(texts, model=model)
        return [vector[: self.dimension(model or self.current)] for vector in made]


@pytest.fixture
def models(owner: None, monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models()
    given: dict[Any, Any] = {Embedder: models, Vectors: PgVectors(), Keywords: PgKeywords()}
    for tool, instance in given.items():
        monkeypatch.setitem(TOOLS, tool, Given("", instance=instance))
    monkeypatch.setattr(indexing, "BATCH_PASSAGES", 4)
    return models


def add_book(models: Models, passages: Sequence[Passage] = PASSAGES) -> UUID:
    with transaction() as session:
        book = Book(
            owner_id=OWNER, title="The Sea", slug="sea", index_version=1, last_version=1,
            total_chunks=len(PASSAGES), embedding_model=OLD, embedding_dimension=26,
        )  # fmt: skip
        session.add(book)
    vectors = models.embed([one.text for one in passages], model=OLD)
    PgVectors().upsert(book.collection(), passages, vectors)
    PgKeywords().upsert(book.collection(), passages)
    models.embedded.clear()
    return book.id


def live(book_id: UUID) -> tuple[int, str | None, int | None]:
    with transaction() as session:
        book = session.get_one(Book, book_id)
        return book.index_version, book.embedding_model, book.embedding_dimension


def found(models: Models, book_id: UUID) -> str:
    """Search by meaning alone, as a conversation does; return the best passage."""
    version, model, _ = live(book_id)
    search = HybridSearch(models, PgVectors(), PgKeywords(), FakeReranker())
    collection = collection_name(book_id, version)
    best, *_ = search.find(QUESTION, "zeppelin", collection=collection, model=model, top_k=2)
    return best.passage.text


def look() -> int:
    """Let the upkeep look once; return how many books it has begun with."""
    pipeline = renew_indexes.renew_indexes
    with transaction() as session:
        begun = pipeline.start(session, pipeline.parse({}), owner=SYSTEM_USER_ID)
    drain()
    with transaction() as session:
        output = job_output(session.connection(), begun.id)
    assert output is not None
    return int(output["books"])


def reindexings() -> list[JobStatus]:
    with transaction() as session:
        made = select(Job).where(col(Job.pipeline) == reindex_book.name)
        return [one.status for one in session.exec(made.order_by(col(Job.id)))]


def test_books_move_to_a_model_that_is_set_and_are_found_all_the_while(models: Models) -> None:
    book = add_book(models)
    before = found(models, book)
    assert (look(), reindexings()) == (0, [])

    models.current = NEW
    assert found(models, book) == before
    models.embedded.clear()
    assert look() == 1

    assert live(book) == (2, NEW, 13)
    assert models.embedded == [one.text for one in PASSAGES]
    assert PgKeywords().passages(collection_name(book, 2)) == PASSAGES
    assert PgVectors().count(collection_name(book, 2)) == len(PASSAGES)
    assert PgVectors().count(collection_name(book, 1)) == len(PASSAGES)
    assert found(models, book) in [one.text for one in PASSAGES]
    assert (look(), reindexings()) == (0, [JobStatus.SUCCEEDED])


def test_a_failed_embedding_leaves_the_live_version_and_is_not_tried_again_at_once(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = add_book(models)
    before = found(models, book)
    models.current, models.refuses = NEW, PASSAGES[-1].text

    assert look() == 1
    assert (live(book), reindexings()) == ((1, OLD, 26), [JobStatus.FAILED])
    assert found(models, book) == before

    models.refuses = None
    assert look() == 0
    monkeypatch.setattr(renew_indexes, "TRIED_AGAIN", timedelta(0))
    assert look() == 1
    assert live(book) == (3, NEW, 13)


def test_a_book_that_is_up_to_date_or_being_read_is_left_alone(models: Models) -> None:
    current, read = add_book(models), add_book(models)
    with transaction() as session:
        session.get_one(Book, current).embedding_model = NEW
        ingest.start(session, IngestBook(book_id=read), owner=OWNER)
        for book in (current, read):
            wanted = ReindexBook(book_id=book, model=NEW)
            reindex_book.start(session, wanted, owner=SYSTEM_USER_ID, priority=4)
        due = stale_books(session, model=NEW, tried_before=now(), limit=9)

    assert due == []
    with transaction() as session:
        told = [
            open_renewal(ReindexBook(book_id=book, model=NEW), session) for book in (current, read)
        ]
    assert [one.version for one in told] == [None, None]


def test_a_reading_that_begins_meanwhile_has_the_last_word(models: Models) -> None:
    book = add_book(models)
    with transaction() as session:
        renewal = open_renewal(ReindexBook(book_id=book, model=NEW), session)
    with transaction() as session:
        open_version(session, book)
    index = Index(collection="a", model=NEW, dimension=13, batches=[])
    with transaction() as session:
        assert not flip(renewal, index, [], session).flipped
    assert live(book) == (1, OLD, 26)


def test_a_book_whose_passages_are_lost_keeps_what_it_has(models: Models) -> None:
    book = add_book(models, PASSAGES[:3])
    models.current = NEW
    assert look() == 1
    assert (live(book), reindexings()) == ((1, OLD, 26), [JobStatus.FAILED])


def test_only_so_many_books_are_under_way(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    books = [add_book(models) for _ in range(3)]
    models.current = NEW
    monkeypatch.setattr(renew_indexes, "AT_ONCE", 2)
    with transaction() as session:
        current = renew_indexes.CurrentModel(name=NEW)
        begun = [renew_indexes.start_reindexing(current, session).books for _ in range(2)]
    assert begun == [2, 0]
    drain()
    assert (look(), look()) == (1, 0)
    assert {live(book) for book in books} == {(2, NEW, 13)}


def test_an_attempt_that_comes_late_empties_no_live_index(models: Models) -> None:
    book = add_book(models)
    edition = Edition(book_id=book, version=1, file_url=None, file_blob=None)
    chunks = keep_chunks(PASSAGES, [], BlobStore())

    open_index(edition, chunks, models, PgVectors(), PgKeywords())

    assert PgKeywords().passages(collection_name(book, 1)) == PASSAGES
    assert PgVectors().count(collection_name(book, 1)) == len(PASSAGES)


def test_the_version_before_is_dropped_a_day_later_but_none_that_is_being_made(
    models: Models,
) -> None:
    book = add_book(models)
    day = timedelta(days=1)
    models.current = NEW
    assert look() == 1

    def left(in_days: int) -> list[str]:
        at = now() + in_days * day
        with transaction() as session:
            return leftover_collections(session, read_from=at - 8 * day, read_to=at - day)

    assert (left(0), left(2)) == ([], [collection_name(book, 1)])
    with transaction() as session:
        reindex_book.start(session, ReindexBook(book_id=book, model=OLD), owner=SYSTEM_USER_ID)
    assert left(2) == []
