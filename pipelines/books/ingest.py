"""Read a book in: find its cast, give the main characters a voice, make the text searchable.

Every chapter and every character is an item of its own: what has succeeded is never done again. The
new index is built beside the live one and swapped in at the end, so a book that is read again is
never empty meanwhile.
"""

import hashlib
from uuid import UUID, uuid5

from pydantic import BaseModel
from sqlmodel import Session

from models.blobs import Blob, hold_blob
from models.books.library import (
    Character,
    ProcessingStatus,
    get_book,
    replace_cast,
)  # fmt: skip
from models.errors import Unprocessable
from models.reading import CastList, Chapter, ChapterReading, ChapterScan, Reading
from pipelines.books.backups import PersonaFile, PersonaFiles, back_up_personas
from pipelines.books.figures import count_reading
from pipelines.books.indexing import (
    Chunks,
    KeywordIndex,
    VectorIndex,
    cut_chunks,
    index_keywords,
    index_vectors,
)  # fmt: skip
from pipelines.books.personas import Persona, Profile, profiles, write_persona
from pipelines.books.staging import (
    BookText,
    Edition,
    IngestBook,
    fetch_file,
    open_edition,
    stage_text,
)  # fmt: skip
from pipelines.books.whole import Unread, plan_chapters, read_whole
from tasks.pipeline import Concurrency, Pipeline, each, parallel, step
from tasks.tools import Blobs, Extractor, JobRef


class Cast(BaseModel):
    """The cast: who gets a voice, who is only listed; the whole reading lies in the blob store."""

    main: list[Profile]
    others: list[Profile]
    reading: Blob
    processing_version: str


class Published(BaseModel):
    """What can be talked to and searched from now on."""

    version: int
    characters: list[UUID]
    chunks: int


class NobodyThere(Unprocessable):
    """No characters were found in this text."""

    code = "no_characters"


@step(queue="cpu")
def scan_chapter(
    chapter: Chapter, book: BookText, blobs: Blobs, extractor: Extractor
) -> ChapterScan:
    """Collect the names of one chapter and what is said about them."""
    return extractor.scan(blobs.get(book.text.key).decode(), chapter)


@step(queue="cpu")
def find_cast(scans: list[ChapterScan], unread: Unread, extractor: Extractor) -> CastList:
    """Tell who is who in the whole book, or nothing where it is read. Raises NobodyThere."""
    cast = extractor.cast(scans)
    if not cast.members and not unread.whole:
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
    unread: Unread,
    cast: CastList,
    readings: list[ChapterReading],
    blobs: Blobs,
    extractor: Extractor,
) -> Cast:
    """Put the chapters together and choose who gets a voice. Raises NobodyThere."""
    text = blobs.get(book.text.key).decode()
    if unread.whole:
        reading = Reading.model_validate_json(blobs.get(unread.whole.key))
    else:
        reading = extractor.finish(text, book.chapters, cast, readings)
    if not reading.characters:
        raise NobodyThere()
    everybody = profiles(reading, text)
    main = [one for one in everybody if one.mentions >= request.min_mentions][: request.top]
    return Cast(
        main=main,
        others=[one for one in everybody if one not in main],
        reading=blobs.put(reading.model_dump_json().encode()),
        processing_version=reading.book.version,
    )


def publish(
    edition: Edition,
    text: BookText,
    cast: Cast,
    personas: list[Persona],
    backups: PersonaFiles,
    chunks: Chunks,
    vectors: VectorIndex,
    keywords: KeywordIndex,
    job: JobRef,
    session: Session,
) -> Published:
    """Save the cast and flip the book to the new version, all at once or not at all."""
    book = get_book(session, edition.book_id, owner=job.owner_id)
    rows = _characters(book.id, cast, personas, backups)
    replace_cast(session, book, rows)
    for blob in (text.text, cast.reading, *(file.blob for file in backups.files)):
        hold_blob(session, blob, owner=job.owner_id, purpose=f"book:{book.id}")
    book.index_version = edition.version
    book.embedding_model, book.embedding_dimension = vectors.model, vectors.dimension
    book.total_chunks, book.total_chapters = keywords.count, len(text.chapters)
    book.chapters = [chapter.model_dump() for chapter in chunks.chapters]
    book.processing_status = ProcessingStatus.COMPLETED
    book.processing_version = cast.processing_version
    session.add(book)
    count_reading(session, job.id, found=len(rows), asked=len(cast.main), voiced=len(personas))
    return Published(
        version=edition.version, characters=[row.id for row in rows], chunks=keywords.count
    )


def _characters(
    book_id: UUID, cast: Cast, personas: list[Persona], backups: PersonaFiles
) -> list[Character]:
    voices = {persona.name: persona for persona in personas}
    files = {file.name: file for file in backups.files}
    rows = [
        _character(book_id, place, one, voices.get(one.name), files.get(one.name))
        for place, one in enumerate([*cast.main, *cast.others], start=1)
    ]
    for row in rows:
        row.processing_version = cast.processing_version
    return rows


def _character(
    book_id: UUID, place: int, profile: Profile, voice: Persona | None, file: PersonaFile | None
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
        prompt_blob=file.blob.key if file else None,
        is_primary=voice is not None,
        is_narrator=profile.is_narrator,
        sort_order=place,
    )


ingest = Pipeline(
    "books.ingest",
    open_edition,
    fetch_file,
    stage_text,
    each(read_whole, over=Edition, items="passes", key="extractor"),
    plan_chapters,
    each(scan_chapter, over=Unread, items="chapters", key="index"),
    find_cast,
    each(read_chapter, over=Unread, items="chapters", key="index"),
    gather_cast,
    each(write_persona, over=Cast, items="main", key="name", optional=True),
    cut_chunks,
    parallel(index_vectors, index_keywords, back_up_personas),
    publish,
    input=IngestBook,
    concurrency=Concurrency(key="book_id"),  # a book is read by one job at a time
)
