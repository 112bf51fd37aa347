"""The articles that plans rest on: ingested by those who run the server, searched by everybody."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, StringConstraints
from starlette.concurrency import run_in_threadpool

from api.answers import answer
from api.deps import CHAT, WaitingOwner, curator
from api.dialects import speaking
from api.once import OnceDep
from config.db import transaction
from config.settings import settings
from models.errors import Unavailable, Unprocessable
from models.goals.corpus import article_root, live_corpus
from models.jobs.queries import JobPublic
from pipelines.goals.ingest_articles import IngestArticles, Ingested, ingest_articles
from pipelines.goals.search_articles import ArticleHits, SearchArticles, search_articles

router = APIRouter(prefix="/api/v1/rag", tags=["goals"], **speaking("goals"))

INGEST_WAIT_S = 60.0  # so long the request waits; afterwards the job goes on and is named
SEARCH_WAIT_S = 30.0

Folder = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
Words = Annotated[str, Query(min_length=1, max_length=2000, pattern=r"^[^\x00]+$")]


class IngestRequest(BaseModel):
    """Which of the configured folders (default: the first), and whether the old articles go."""

    articles_dir: Folder | None = None
    clear_existing: bool = False


class IngestGoesOn(BaseModel):
    """The job that is still at it."""

    status: str = "accepted"
    job_id: UUID


class SearchTooSlow(Unavailable):
    """The search did not end in time."""

    code = "article_search_too_slow"


class ArticlesFailed(Unavailable):
    """The articles could not be read or searched."""

    code = "articles_failed"


class ArticlesRefused(Unprocessable):
    """These articles cannot be worked with."""

    code = "articles_refused"


def _checked(job: JobPublic) -> JobPublic:
    """Return a job that did not fail. Raises ArticlesFailed, ArticlesRefused, as its error says."""
    if job.error is not None:
        passing = job.error.get("code") in ("unavailable", "internal", None)
        raise (ArticlesFailed if passing else ArticlesRefused)(str(job.error.get("message")))
    return job


def _is_there_anything() -> bool:
    with transaction() as session:
        return live_corpus(session) is not None


@router.post("/ingest", responses={202: {"model": IngestGoesOn}})
async def ingest(
    body: IngestRequest,
    owner: Annotated[UUID, Depends(curator)],
    response: Response,
    once: OnceDep,
) -> Ingested | IngestGoesOn:
    """Make the articles of a configured folder searchable. For superadmins and services."""
    article_root(body.articles_dir)
    given = IngestArticles.model_validate(body.model_dump())
    job = _checked(
        await answer(ingest_articles, given, owner=owner, timeout_s=INGEST_WAIT_S, once=once)
    )
    if job.output is None:
        response.status_code = 202
        return IngestGoesOn(job_id=job.id)
    return Ingested.model_validate(job.output)


@router.get("/search", dependencies=[CHAT])
async def search(
    query: Words,
    owner: WaitingOwner,
    top_k: Annotated[int, Query(ge=1, le=50)] = settings.goals.top_k,
    threshold: Annotated[float, Query(ge=-1, le=1)] = settings.goals.threshold,
) -> ArticleHits:
    """Find passages by meaning, nearest first."""
    if not await run_in_threadpool(_is_there_anything):
        return ArticleHits(results=[])
    given = SearchArticles(query=query, top_k=top_k, threshold=threshold)
    job = _checked(await answer(search_articles, given, owner=owner, timeout_s=SEARCH_WAIT_S))
    if job.output is None:
        raise SearchTooSlow()
    return ArticleHits.model_validate(job.output)
