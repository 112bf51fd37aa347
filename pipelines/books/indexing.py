"""The text in passages, found again by meaning and by words: a new index beside the live one."""

import json

from pydantic import BaseModel

from config.settings import settings
from models.blobs import Blob
from models.books.horizon import ChapterEnd
from models.books.library import collection_name
from pipelines.books.staging import BookText, Edition
from tasks.pipeline import step
from tasks.tools import Blobs, Embedder, Keywords, Passage, Progress, Tokenizer, Vectors

EMBED_BATCH = 64  # passages per request: small enough to report progress and to stop soon


class Chunks(BaseModel):
    """The text cut into passages, in the blob store."""

    passages: Blob
    count: int
    chapters: list[ChapterEnd]


class VectorIndex(BaseModel):
    """A collection of vectors, and what made them."""

    collection: str
    model: str
    dimension: int
    count: int


class KeywordIndex(BaseModel):
    """A collection for keyword search."""

    collection: str
    count: int


@step(queue="cpu")
def cut_chunks(edition: Edition, book: BookText, blobs: Blobs, tokenizer: Tokenizer) -> Chunks:
    """Cut the text into passages of a few hundred tokens that do not cross chapters."""
    text = blobs.get(book.text.key).decode()
    passages: list[Passage] = []
    ends: list[ChapterEnd] = []
    for chapter in book.chapters:
        body = text[chapter.start : chapter.end]
        size, overlap = settings.books.chunk_tokens, settings.books.chunk_overlap_tokens
        for start, end in tokenizer.cut(body, tokens=size, overlap=overlap):
            index = len(passages)
            passages.append(
                Passage(
                    id=f"{edition.book_id}:{index}",
                    text=body[start:end],
                    index=index,
                    meta={"chapter": chapter.index, "start": chapter.start + start},
                )
            )
        ends.append(ChapterEnd(title=chapter.title, last_passage=len(passages) - 1))
    data = json.dumps([passage.model_dump() for passage in passages]).encode()
    return Chunks(passages=blobs.put(data), count=len(passages), chapters=ends)


def _passages(chunks: Chunks, blobs: Blobs) -> list[Passage]:
    return [Passage.model_validate(one) for one in json.loads(blobs.get(chunks.passages.key))]


@step(idle_s=300)
def index_vectors(
    edition: Edition,
    chunks: Chunks,
    blobs: Blobs,
    embedder: Embedder,
    vectors: Vectors,
    progress: Progress,
) -> VectorIndex:
    """Embed the passages into a new collection. Raises Unavailable (retried)."""
    model = embedder.model()
    collection = collection_name(edition.book_id, edition.version)
    passages = _passages(chunks, blobs)
    vectors.create(collection, model.dimension)
    for start in range(0, len(passages), EMBED_BATCH):
        batch = passages[start : start + EMBED_BATCH]
        vectors.upsert(collection, batch, embedder.embed([one.text for one in batch]))
        progress(start + len(batch), len(passages), "passages")
    return VectorIndex(
        collection=collection, model=model.name, dimension=model.dimension, count=len(passages)
    )


@step()
def index_keywords(
    edition: Edition, chunks: Chunks, blobs: Blobs, keywords: Keywords, progress: Progress
) -> KeywordIndex:
    """Put the passages into a new collection for keyword search. Raises Unavailable (retried)."""
    collection = collection_name(edition.book_id, edition.version)
    passages = _passages(chunks, blobs)
    keywords.create(collection)
    for start in range(0, len(passages), EMBED_BATCH):
        batch = passages[start : start + EMBED_BATCH]
        keywords.upsert(collection, batch)
        progress(start + len(batch), len(passages), "passages")
    return KeywordIndex(collection=collection, count=len(passages))
