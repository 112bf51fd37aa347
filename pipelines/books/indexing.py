"""The text in passages, found again by meaning and by words: a new index beside the live one."""

import json
from collections.abc import Sequence

from pydantic import BaseModel

from config.settings import settings
from models.blobs import Blob
from models.books.horizon import ChapterEnd
from models.books.library import collection_name
from models.errors import Unavailable, Unprocessable
from pipelines.books.staging import BookText, Edition
from tasks.pipeline import step
from tasks.refusals import IndexRefused, InputRefused
from tasks.tools import Blobs, Checkpoint, Embedder, Keywords, Passage, Tokenizer, Vectors

BATCH_PASSAGES = 64  # in one request and one item: what a failure leaves out until it is resumed
MOST_REFUSALS = 24  # of a batch: enough to find three bad passages; a model that takes none is left


class Chunks(BaseModel):
    """The text cut into passages, in the blob store."""

    passages: Blob
    count: int
    chapters: list[ChapterEnd]


class Batch(BaseModel):
    """Passages `first` to `last` (exclusive)."""

    number: int
    first: int
    last: int


class Index(BaseModel):
    """A collection of this version's own, what makes its vectors, and what is to be put into it."""

    collection: str
    model: str
    dimension: int
    batches: list[Batch]


class IndexedBatch(BaseModel):
    """How many passages of a batch can be found."""

    count: int


class Indexing(BaseModel):
    """How far a batch has come: which passages lie there, and vectors that do not yet."""

    indexed: list[int] = []
    vectors: Blob | None = None  # by the passage's number, as JSON


class PassagesRefused(Unprocessable):
    """The model will not take some of the passages; the others can be found."""

    code = "passages_refused"


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
    return keep_chunks(passages, ends, blobs)


def keep_chunks(passages: Sequence[Passage], ends: list[ChapterEnd], blobs: Blobs) -> Chunks:
    """Put the passages into the blob store. Safe to repeat."""
    data = json.dumps([passage.model_dump() for passage in passages]).encode()
    return Chunks(passages=blobs.put(data), count=len(passages), chapters=ends)


@step()
def open_index(
    edition: Edition, chunks: Chunks, embedder: Embedder, vectors: Vectors, keywords: Keywords
) -> Index:
    """Make the book's new collections, and say which model embeds all of the book."""
    model = embedder.model()
    collection = collection_name(edition.book_id, edition.version)
    vectors.create(collection, model.dimension)
    keywords.create(collection)
    starts = range(0, chunks.count, BATCH_PASSAGES)
    return Index(
        collection=collection,
        model=model.name,
        dimension=model.dimension,
        batches=[
            Batch(number=number, first=first, last=min(first + BATCH_PASSAGES, chunks.count))
            for number, first in enumerate(starts)
        ],
    )


@step(idle_s=300)
def index_batch(
    batch: Batch,
    index: Index,
    chunks: Chunks,
    blobs: Blobs,
    embedder: Embedder,
    vectors: Vectors,
    keywords: Keywords,
    checkpoint: Checkpoint,
) -> IndexedBatch:
    """Make the passages of a batch findable by words and by meaning.

    Passages that the model refuses are left out and told. What is embedded is not paid for twice.
    Raises PassagesRefused; Unavailable is retried.
    """
    every = json.loads(blobs.get(chunks.passages.key))
    passages = [Passage.model_validate(one) for one in every[batch.first : batch.last]]
    before = checkpoint.load(Indexing) or Indexing()
    waiting = [one for one in passages if one.index not in before.indexed]
    keywords.upsert(index.collection, waiting)
    made = _kept(before, blobs) or _embed(embedder, index.model, waiting)
    good = [one for one in waiting if one.index in made]
    try:
        vectors.upsert(index.collection, good, [made[one.index] for one in good])
    except (Unavailable, IndexRefused):
        blob = blobs.put(json.dumps(made).encode())
        checkpoint.save(Indexing(indexed=before.indexed, vectors=blob))
        raise
    if len(good) < len(waiting):
        checkpoint.save(Indexing(indexed=before.indexed + [one.index for one in good]))
        raise PassagesRefused(passages=[one.index for one in waiting if one.index not in made])
    return IndexedBatch(count=len(passages))


def _kept(before: Indexing, blobs: Blobs) -> dict[int, list[float]]:
    """Return the vectors that an earlier attempt could not store."""
    if before.vectors is None:
        return {}
    found: dict[str, list[float]] = json.loads(blobs.get(before.vectors.key))
    return {int(number): vector for number, vector in found.items()}


def _embed(embedder: Embedder, model: str, passages: Sequence[Passage]) -> dict[int, list[float]]:
    """Return vectors by the passages' numbers; those that the model refuses have none.

    A request that is refused is asked again in halves, until the passages to blame stand alone.
    """
    made: dict[int, list[float]] = {}
    parts, refusals = [passages], 0
    while parts and refusals < MOST_REFUSALS:
        part = parts.pop(0)
        try:
            found = embedder.embed([one.text for one in part], model=model)
        except InputRefused:
            refusals += 1
            half = len(part) // 2
            parts += [part[:half], part[half:]] if half else []
        else:
            made |= {one.index: vector for one, vector in zip(part, found, strict=True)}
    return made
