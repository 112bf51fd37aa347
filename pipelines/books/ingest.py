"""Read a book in: find its cast, give the main characters a voice, make the text searchable.

Every chapter and every character is an item of its own: what has succeeded is never done again. The
new index is built beside the live one and swapped in at the end, so a book that is read again is
never empty meanwhile.
"""

import hashlib
import json
from uuid import UUID, uuid5

from pydantic import BaseModel
from sqlmodel import Session

from config.settings import settings
from models.blobs import Blob, hold_blob
from models.books.library import (
    Character,
    ProcessingStatus,
    collection_name,
    get_book,
    open_version,
    replace_cast,
)  # fmt: skip
from models.errors import Unprocessable
from models.files import decode
from models.language import check_english
from models.reading import CastList, Chapter, ChapterReading, ChapterScan
from models.text import find_chapters, normalise
from pipelines.books.personas import Persona, Profile, profiles, write_persona
from tasks.pipeline import Pipeline, each, parallel, step
from tasks.tools import (
    Blobs,
    Embedder,
    Extractor,
    Fetch,
    JobRef,
    Keywords,
    Passage,
    Progress,
    Tokenizer,
    Vectors,
)  # fmt: skip

EMBED_BATCH = 64  # passages per request: small enough to report progress and to stop soon


class IngestBook(BaseModel):
    """The book to read in, and how many of its characters get a voice."""

    book_id: UUID
    top: int = settings.books.cast_size
    min_mentions: int = settings.books.min_mentions


class Edition(BaseModel):
    """Which version of the book is being made, and where its text comes from."""

    book_id: UUID
    version: int
    file_url: str | None
    file_blob: str | None


class BookText(BaseModel):
    """The normalised text, in the blob store, and its chapters."""

    text: Blob
    chapters: list[Chapter]


class Cast(BaseModel):
    """The cast: who gets a voice, who is only listed; the whole reading lies in the blob store."""

    main: list[Profile]
    others: list[Profile]
    reading: Blob
    processing_version: str


class Chunks(BaseModel):
    """The text cut into passages, in the blob store."""

    passages: Blob
    count: int


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


class Published(BaseModel):
    """What can be talked to and searched from now on."""

    version: int
    characters: list[UUID]
    chunks: int


class Swept(BaseModel):
    """How many old versions of the index were dropped."""

    dropped: int


class NobodyThere(Unprocessable):
    """No characters were found in this text."""

    code = "no_characters"


def open_edition(book: IngestBook, session: Session) -> Edition:
    """Take the next version number of the book. Raises BookNotFound."""
    row = open_version(session, book.book_id)
    return Edition(
        book_id=row.id, version=row.last_version, file_url=row.file_url, file_blob=row.file_blob
    )


@step(idle_s=300)
def stage_text(edition: Edition, blobs: Blobs, fetch: Fetch, progress: Progress) -> BookText:
    """Fetch the file, decode and normalise it and find its chapters.

    Raises FetchRefused, EmptyFile, NotText, NotEnglish; Unavailable is retried.
    """
    if edition.file_blob:
        data = blobs.get(edition.file_blob)
    else:
        data = fetch.download(edition.file_url or "", progress=lambda d, t: progress(d, t, "bytes"))
    text = normalise(decode(data))
    check_english(text)
    chapters = find_chapters(text)
    progress(len(chapters), len(chapters), "chapters")
    return BookText(text=blobs.put(text.encode()), chapters=chapters)


@step(queue="cpu")
def scan_chapter(
    chapter: Chapter, book: BookText, blobs: Blobs, extractor: Extractor
) -> ChapterScan:
    """Collect the names of one chapter and what is said about them."""
    return extractor.scan(blobs.get(book.text.key).decode(), chapter)


@step(queue="cpu")
def find_cast(scans: list[ChapterScan], extractor: Extractor) -> CastList:
    """Tell who is who in the whole book. Raises NobodyThere."""
    cast = extractor.cast(scans)
    if not cast.members:
        raise NobodyThere()
    return cast


@step(queue="cpu")
def read_chapter(
    chapter: Chapter, book: BookText, cast: CastList, blobs: Blobs, extractor: Extractor
) -> ChapterReading:
    """Find who says and does what in one chapter."""
    return extractor.extract(blobs.get(book.text.key).decode(), chapter, cast)


@step(queue="cpu")
def gather_cast(
    request: IngestBook,
    book: BookText,
    cast: CastList,
    readings: list[ChapterReading],
    blobs: Blobs,
    extractor: Extractor,
) -> Cast:
    """Put the chapters together and choose who gets a voice."""
    text = blobs.get(book.text.key).decode()
    reading = extractor.finish(text, book.chapters, cast, readings)
    everybody = profiles(reading, text)
    main = [one for one in everybody if one.mentions >= request.min_mentions][: request.top]
    return Cast(
        main=main,
        others=[one for one in everybody if one not in main],
        reading=blobs.put(reading.model_dump_json().encode()),
        processing_version=extractor.version,
    )


@step(queue="cpu")
def cut_chunks(edition: Edition, book: BookText, blobs: Blobs, tokenizer: Tokenizer) -> Chunks:
    """Cut the text into passages of a few hundred tokens that do not cross chapters."""
    text = blobs.get(book.text.key).decode()
    passages: list[Passage] = []
    for chapter in book.chapters:
        body = text[chapter.start : chapter.end]
        size, overlap = settings.books.chunk_tokens, settings.books.chunk_overlap_tokens
        for start, end in tokenizer.cut(body, tokens=size, overlap=overlap):
            index = len(passages)
            passages.append(
                Passage(
                    id=str(uuid5(edition.book_id, f"{edition.version}:{index}")),
                    text=body[start:end],
                    index=index,
                    meta={"chapter": chapter.index, "start": chapter.start + start},
                )
            )
    data = json.dumps([passage.model_dump() for passage in passages]).encode()
    return Chunks(passages=blobs.put(data), count=len(passages))


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


def publish(
    edition: Edition,
    text: BookText,
    cast: Cast,
    personas: list[Persona],
    vectors: VectorIndex,
    keywords: KeywordIndex,
    job: JobRef,
    session: Session,
) -> Published:
    """Save the cast and flip the book to the new version, all at once or not at all."""
    book = get_book(session, edition.book_id, owner=job.owner_id)
    voices = {persona.name: persona for persona in personas}
    rows = [
        _character(book.id, place, profile, voices.get(profile.name), cast.processing_version)
        for place, profile in enumerate([*cast.main, *cast.others], start=1)
    ]
    replace_cast(session, book, rows)
    for blob in (text.text, cast.reading):
        hold_blob(session, blob, owner=job.owner_id, purpose=f"book:{book.id}")
    book.index_version = edition.version
    book.embedding_model, book.embedding_dimension = vectors.model, vectors.dimension
    book.total_chunks, book.total_chapters = keywords.count, len(text.chapters)
    book.processing_status = ProcessingStatus.COMPLETED
    book.processing_version = cast.processing_version
    session.add(book)
    return Published(
        version=edition.version, characters=[row.id for row in rows], chunks=keywords.count
    )


def _character(
    book_id: UUID, place: int, profile: Profile, voice: Persona | None, version: str
) -> Character:
    return Character(
        id=uuid5(book_id, hashlib.sha256(profile.name.encode()).hexdigest()),
        book_id=book_id,
        name=profile.name,
        description=voice.analysis.summary if voice else "",
        aliases=profile.aliases,
        role="protagonist" if place == 1 else "main" if voice else "supporting",
        pronouns=profile.pronouns,
        mention_count=profile.mentions,
        quote_count=profile.quote_count,
        personality_traits=voice.analysis.personality_traits if voice else [],
        analysis=voice.analysis.model_dump() if voice else None,
        profile=profile.model_dump(mode="json"),
        system_prompt=voice.system_prompt if voice else None,
        processing_version=version,
        is_primary=voice is not None,
        is_narrator=profile.is_narrator,
        sort_order=place,
    )


@step()
def sweep(published: Published, edition: Edition, vectors: Vectors, keywords: Keywords) -> Swept:
    """Drop versions before the previous one, which chats that are under way may still read."""
    old = range(1, published.version - 1)
    for version in old:
        vectors.drop(collection_name(edition.book_id, version))
        keywords.drop(collection_name(edition.book_id, version))
    return Swept(dropped=len(old))


ingest = Pipeline(
    "books.ingest",
    open_edition,
    stage_text,
    each(scan_chapter, over=BookText, items="chapters", key="index"),
    find_cast,
    each(read_chapter, over=BookText, items="chapters", key="index"),
    gather_cast,
    each(write_persona, over=Cast, items="main", key="name", optional=True),
    cut_chunks,
    parallel(index_vectors, index_keywords),
    publish,
    sweep,
    input=IngestBook,
)
