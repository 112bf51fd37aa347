"""Make a folder of articles searchable, so that plans can rest on them.

The new index is built beside the live one and swapped in at the end. What was there before is kept,
unless it is to be cleared; an article that is ingested again replaces itself.
"""

import json
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel
from sqlmodel import Session

from config.settings import settings
from models.base import now
from models.blobs import Blob, hold_blob, release_blobs
from models.errors import Unprocessable
from models.files import decode
from models.goals.corpus import CORPUS, article_files, article_root, cut, open_corpus
from models.goals.tables import Corpus
from models.text import normalise
from tasks.pipeline import Pipeline, step
from tasks.tools import Blobs, Embedder, JobRef, Passage, Progress, Vectors

EMBED_BATCH = 64  # goals.md
MAX_ARTICLE_BYTES = 5_000_000  # of one file; a book is no article
SWEPT = 20  # versions looked at; the one before was left there on purpose, others by failures
MAX_CHUNKS = 50_000  # of a corpus: about 100 MB of text


class IngestArticles(BaseModel):
    """The folder, by its configured name, and whether what was there before goes."""

    articles_dir: str | None = None
    clear_existing: bool = False


class CorpusEdition(BaseModel):
    """Which version of the corpus is being made, and what it keeps of the live one."""

    version: int
    collection: str
    live: int
    kept: str | None  # the blob with the passages that stay


class ArticleChunks(BaseModel):
    """All passages of the version, in the blob store."""

    passages: Blob
    articles: int
    chunks: int


class CorpusIndex(BaseModel):
    """The collection, and what made its vectors."""

    model: str
    dimension: int


class Published(BaseModel):
    """What can be searched now, and which version could until then."""

    articles: int
    chunks: int
    before: int


class Ingested(BaseModel):
    """What can be searched now, as the document says it."""

    status: str = "success"
    articles: int
    chunks: int


class TooManyChunks(Unprocessable):
    """This is more than a corpus of articles holds."""

    code = "too_many_chunks"


class UnreadableArticle(Unprocessable):
    """An article is no text."""

    code = "unreadable_article"


class NoArticles(Unprocessable):
    """There are no articles (.md, .txt) in this folder."""

    code = "no_articles"


def open_edition(request: IngestArticles, session: Session) -> CorpusEdition:
    """Take the next version number of the corpus."""
    row = open_corpus(session)
    return CorpusEdition(
        version=row.last_version,
        collection=row.collection(row.last_version),
        live=row.version,
        kept=None if request.clear_existing else row.passages,
    )


@step(idle_s=300)
def read_articles(
    request: IngestArticles, edition: CorpusEdition, blobs: Blobs, progress: Progress
) -> ArticleChunks:
    """Cut the articles of the folder into passages. Raises UnknownArticles, NoArticles."""
    root = article_root(request.articles_dir)
    files = article_files(root)
    if not files:
        raise NoArticles()
    found: dict[str, list[Passage]] = {}
    for passage in _kept(edition, blobs):
        found.setdefault(str(passage.meta["source"]), []).append(passage)
    for done, path in enumerate(files, start=1):
        name = f"{Path(root).name}/{path.relative_to(Path(root).resolve()).as_posix()}"
        found[name] = _passages(name, path)
        progress(done, len(files), "articles")
    every = [passage for passages in found.values() for passage in passages]
    if len(every) > MAX_CHUNKS:
        raise TooManyChunks(chunks=len(every), most=MAX_CHUNKS)
    data = json.dumps([one.model_dump() for one in every]).encode()
    return ArticleChunks(passages=blobs.put(data), articles=len(found), chunks=len(every))


def _kept(edition: CorpusEdition, blobs: Blobs) -> list[Passage]:
    if edition.kept is None:
        return []
    return [Passage.model_validate(one) for one in json.loads(blobs.get(edition.kept))]


def _passages(name: str, path: Path) -> list[Passage]:
    """Return an article's passages. Raises UnreadableArticle, TooManyChunks."""
    if path.stat().st_size > MAX_ARTICLE_BYTES:
        raise TooManyChunks(f"{name} is too large for an article.", most_bytes=MAX_ARTICLE_BYTES)
    try:
        text = normalise(decode(path.read_bytes()))
    except Unprocessable as error:
        raise UnreadableArticle(f"{name}: {error}") from None
    size, overlap = settings.goals.chunk_chars, settings.goals.chunk_overlap_chars
    return [
        Passage(
            id=str(uuid5(NAMESPACE_URL, f"{name}#{index}")),
            text=piece,
            index=index,
            meta={"source": name},
        )
        for index, piece in enumerate(cut(text, size=size, overlap=overlap))
    ]


@step(idle_s=300)
def index_articles(
    edition: CorpusEdition,
    chunks: ArticleChunks,
    blobs: Blobs,
    embedder: Embedder,
    vectors: Vectors,
    progress: Progress,
) -> CorpusIndex:
    """Embed the passages into a new collection. Raises Unavailable (retried)."""
    model = embedder.model()
    vectors.create(edition.collection, model.dimension)
    every = [Passage.model_validate(one) for one in json.loads(blobs.get(chunks.passages.key))]
    for start in range(0, len(every), EMBED_BATCH):
        batch = every[start : start + EMBED_BATCH]
        vectors.upsert(edition.collection, batch, embedder.embed([one.text for one in batch]))
        progress(start + len(batch), len(every), "passages")
    return CorpusIndex(model=model.name, dimension=model.dimension)


def publish(
    edition: CorpusEdition, chunks: ArticleChunks, index: CorpusIndex, job: JobRef, session: Session
) -> Published:
    """Flip the corpus to the new version, unless a newer one was faster."""
    row = session.get_one(Corpus, CORPUS, with_for_update=True)
    before = row.version
    if before < edition.version:
        release_blobs(session, owner=job.owner_id, purpose=f"corpus:{CORPUS}")
        hold_blob(session, chunks.passages, owner=job.owner_id, purpose=f"corpus:{CORPUS}")
        row.version, row.passages = edition.version, chunks.passages.key
        row.embedding_model, row.embedding_dimension = index.model, index.dimension
        row.articles, row.chunks, row.updated_at = chunks.articles, chunks.chunks, now()
    return Published(articles=chunks.articles, chunks=chunks.chunks, before=before)


@step()
def sweep(edition: CorpusEdition, published: Published, vectors: Vectors) -> Ingested:
    """Drop earlier versions: this one is live, or a newer one.

    Not what was live of late, which plans under way may search a while longer.
    """
    for version in range(max(1, edition.version - SWEPT), edition.version):
        if version not in (edition.live, published.before):
            vectors.drop(Corpus(name=CORPUS).collection(version))
    return Ingested(articles=published.articles, chunks=published.chunks)


ingest_articles = Pipeline(
    "goals.ingest_articles",
    open_edition,
    read_articles,
    index_articles,
    publish,
    sweep,
    input=IngestArticles,
)
