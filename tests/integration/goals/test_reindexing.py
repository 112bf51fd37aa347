"""Another embedding model is set: the articles move to it."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from config.blobs import BlobStore
from config.db import transaction
from models.accounts import SYSTEM_USER_ID
from models.base import new_id, now
from models.goals.corpus import CORPUS
from models.goals.tables import Corpus
from models.jobs.queries import job_output
from models.jobs.tables import Job
from pipelines.goals.ingest_articles import (
    ArticleChunks,
    CorpusEdition,
    IngestArticles,
    index_articles,
    open_edition,
    publish,
    sweep,
)
from pipelines.goals.reindex_articles import ReindexArticles, reindex_articles
from tasks.adapters.vectors import PgVectors
from tasks.refusals import ModelRefused
from tasks.toolbox import TOOLS
from tasks.tools import Embedder, JobRef, Passage, Vectors
from tests.fakes import FakeEmbedder
from tests.inline import drain
from tests.integration.books.talk import Given
from tests.pipelines import OWNER

ARTICLES = [Passage(id=f"p{k}", text=f"Run {k} miles.", index=k) for k in range(3)]
DAYS_AGO = now() - timedelta(days=2)


class Letters(FakeEmbedder):
    """Can be told to refuse."""

    refuses = False

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        if self.refuses:
            raise ModelRefused("Not these.")
        return super().embed(texts, model=model)


@pytest.fixture
def embedder(owner: None, monkeypatch: pytest.MonkeyPatch) -> Letters:
    embedder = Letters()
    given: dict[Any, Any] = {Embedder: embedder, Vectors: PgVectors()}
    for tool, instance in given.items():
        monkeypatch.setitem(TOOLS, tool, Given("", instance=instance))
    return embedder


def add_articles(**more: Any) -> None:
    data = json.dumps([one.model_dump() for one in ARTICLES]).encode()
    fields: dict[str, Any] = {
        "name": CORPUS, "version": 1, "last_version": 1, "chunks": 3, "updated_at": DAYS_AGO,
        "embedding_model": "fake/old", "passages": BlobStore().put(data).key,
    }  # fmt: skip
    with transaction() as session:
        session.add(Corpus(**fields | more))


def look() -> object:
    """Let the upkeep look once; return what came of it, or the code of its error."""
    with transaction() as session:
        begun = reindex_articles.start(session, ReindexArticles(), owner=SYSTEM_USER_ID)
    drain()
    with transaction() as session:
        error = session.get_one(Job, begun.id).error
        return error["code"] if error else job_output(session.connection(), begun.id)


def live() -> tuple[int, str | None]:
    with transaction() as session:
        row = session.get_one(Corpus, CORPUS)
        return row.version, row.embedding_model


def test_articles_move_to_a_model_that_is_set_once(embedder: Letters) -> None:
    add_articles()
    assert look() == {"chunks": 3}
    assert live() == (2, "fake/letters")
    assert PgVectors().count(Corpus(name=CORPUS).collection(2)) == 3
    assert look() == {"chunks": 0}
    assert len(embedder.embedded) == 3


def test_a_version_that_was_just_begun_is_waited_for(embedder: Letters) -> None:
    add_articles(updated_at=now())
    assert look() == {"chunks": 0}
    assert live() == (1, "fake/old")


def test_articles_that_cannot_be_embedded_stay_searchable_as_they_were(embedder: Letters) -> None:
    add_articles()
    embedder.refuses = True
    assert look() == "model_refused"
    assert live() == (1, "fake/old")
    embedder.refuses = False
    assert look() == {"chunks": 0}


def opened() -> CorpusEdition:
    with transaction() as session:
        return open_edition(IngestArticles(), session)


def finish(edition: CorpusEdition, embedder: Letters) -> None:
    """Carry out what is left of an ingestion: the index, the flip, the sweep."""
    vectors, blobs = PgVectors(), BlobStore()
    data = json.dumps([one.model_dump() for one in ARTICLES]).encode()
    chunks = ArticleChunks(passages=blobs.put(data), articles=1, chunks=3)
    unseen: Any = lambda *_: None  # noqa: E731 — nobody watches
    index = index_articles(edition, chunks, blobs, embedder, vectors, unseen)
    with transaction() as session:
        job = JobRef(id=new_id(), owner_id=OWNER)
        published = publish(edition, chunks, index, job, session)
    sweep(edition, published, vectors)


def searchable() -> list[int]:
    corpus = Corpus(name=CORPUS)
    return [one for one in range(1, 9) if PgVectors().count(corpus.collection(one))]


def test_what_was_live_of_late_is_not_swept(embedder: Letters) -> None:
    finish(opened(), embedder)
    slow, fast = opened(), opened()
    finish(slow, embedder)
    assert searchable() == [1, 2]

    finish(fast, embedder)
    assert searchable() == [1, 2, 3]  # 2 was, though not when this ingestion began

    finish(opened(), embedder)
    assert searchable() == [3, 4]
