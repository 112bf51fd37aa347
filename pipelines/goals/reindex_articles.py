"""Index the articles again when another embedding model is set, beside what plans rest on."""

from datetime import timedelta

from pydantic import BaseModel
from sqlmodel import Session

from models.base import now
from models.goals.corpus import CORPUS, open_corpus
from models.goals.tables import Corpus
from pipelines.goals.ingest_articles import (
    ArticleChunks,
    CorpusEdition,
    CorpusIndex,
    index_articles,
)  # fmt: skip
from tasks.firing import upkeep
from tasks.pipeline import Pipeline, each, step
from tasks.tools import Blobs, Embedder

EVERY_S = 900
SETTLED = timedelta(
    hours=6
)  # since a version was begun: it may be under way, or have failed dearly


class ReindexArticles(BaseModel):
    """Nothing needs to be said."""


class CurrentModel(BaseModel):
    """The model that embeds what is indexed from now on."""

    name: str


class CorpusRenewal(BaseModel):
    """The version that is to be made, if any, and what it holds."""

    editions: list[CorpusEdition]
    passages: str | None = None
    articles: int = 0
    chunks: int = 0


class Reindexed(BaseModel):
    """How many passages another model has embedded."""

    chunks: int


@step()
def name_model(wanted: ReindexArticles, embedder: Embedder) -> CurrentModel:
    """Ask which model embeds. Raises Unavailable (retried)."""
    return CurrentModel(name=embedder.model().name)


def open_renewal(model: CurrentModel, session: Session) -> CorpusRenewal:
    """Take the next version number, if another model made the live version."""
    row = session.get(Corpus, CORPUS, with_for_update=True)
    if row is None or row.passages is None or row.embedding_model == model.name:
        return CorpusRenewal(editions=[])
    if row.updated_at > now() - SETTLED:
        return CorpusRenewal(editions=[])
    opened = open_corpus(session)
    edition = CorpusEdition(
        version=opened.last_version,
        collection=opened.collection(opened.last_version),
        live=opened.version,
        kept=opened.passages,
    )
    return CorpusRenewal(
        editions=[edition], passages=row.passages, articles=row.articles, chunks=row.chunks
    )


@step()
def gather_chunks(renewal: CorpusRenewal, blobs: Blobs) -> ArticleChunks:
    """Take the passages of the live version. Safe to repeat."""
    data = blobs.get(renewal.passages) if renewal.passages else b"[]"
    return ArticleChunks(passages=blobs.put(data), articles=renewal.articles, chunks=renewal.chunks)


def flip(renewal: CorpusRenewal, indexes: list[CorpusIndex], session: Session) -> Reindexed:
    """Let the articles be searched in the new version, unless an ingestion has begun since."""
    for edition, index in zip(renewal.editions, indexes, strict=True):
        row = session.get_one(Corpus, CORPUS, with_for_update=True)
        if (row.version, row.last_version) == (edition.live, edition.version):
            row.version, row.embedding_model = edition.version, index.model
            row.embedding_dimension = index.dimension
            return Reindexed(chunks=renewal.chunks)
    return Reindexed(chunks=0)


reindex_articles = Pipeline(
    "goals.reindex_articles",
    name_model,
    open_renewal,
    gather_chunks,
    each(index_articles, over=CorpusRenewal, items="editions", key="version"),
    flip,
    input=ReindexArticles,
)
upkeep(reindex_articles, every_s=EVERY_S)
