"""Search the articles that plans rest on."""

from pydantic import BaseModel
from sqlmodel import Session

from config.settings import settings
from models.goals.corpus import LiveCorpus, live_corpus
from tasks.pipeline import Pipeline, step
from tasks.tools import Embedder, Vectors

SEARCH_DEADLINE_S = 60.0  # nobody waits longer for a search


class SearchArticles(BaseModel):
    """What to look for."""

    query: str
    top_k: int = settings.goals.top_k
    threshold: float = settings.goals.threshold


class Searchable(BaseModel):
    """What can be searched, if there is anything."""

    corpus: LiveCorpus | None


class ArticleHit(BaseModel):
    """A passage that was found; the score is a cosine, -1..1."""

    source: str
    text: str
    chunk: int
    score: float


class ArticleHits(BaseModel):
    """What was found, nearest first."""

    results: list[ArticleHit]


@step(queue="stream")
def find_corpus(request: SearchArticles, session: Session) -> Searchable:
    """Look which version of the corpus is live."""
    return Searchable(corpus=live_corpus(session))


@step(queue="stream")
def search(
    request: SearchArticles, searchable: Searchable, embedder: Embedder, vectors: Vectors
) -> ArticleHits:
    """Return the passages nearest to the query. Raises Unavailable (retried)."""
    corpus = searchable.corpus
    if corpus is None:
        return ArticleHits(results=[])
    (vector,) = embedder.embed([request.query], model=corpus.embedding_model)
    hits = vectors.search(corpus.collection, vector, top_k=request.top_k)
    return ArticleHits(
        results=[
            ArticleHit(
                source=str(hit.passage.meta.get("source", "")),
                text=hit.passage.text,
                chunk=hit.passage.index,
                score=hit.score,
            )
            for hit in hits
            if hit.score >= request.threshold
        ]
    )


search_articles = Pipeline(
    "goals.search_articles",
    find_corpus,
    search,
    input=SearchArticles,
    fused=True,
    deadline_s=SEARCH_DEADLINE_S,
)
