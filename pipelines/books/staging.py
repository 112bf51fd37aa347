"""The first steps of reading a book in: which edition it is, and its text with chapters."""

from uuid import UUID

from pydantic import BaseModel, Field
from sqlmodel import Session

from config.products import ExtractorChoice
from config.settings import settings
from models.blobs import Blob
from models.books.library import open_version
from models.documents import stage
from models.files import FileFormat
from models.language import check_english
from models.reading import Chapter
from pipelines.books.choice import Pass, choose_passes
from tasks.pipeline import step
from tasks.tools import Blobs, Documents, Fetch, Progress


class IngestBook(BaseModel):
    """The book to read in, and which of its characters get a voice.

    `top`: so many, the most important ones; of those, whoever is named `min_mentions` times.
    """

    book_id: UUID
    extractor: ExtractorChoice | None = None  # None: as the settings say when the work begins
    top: int = Field(settings.books.cast_size, ge=1)
    min_mentions: int = Field(settings.books.min_mentions, ge=1)


class Edition(BaseModel):
    """Which version of the book is being made, from what text, and whether it is read whole."""

    book_id: UUID
    version: int
    file_url: str | None
    file_blob: str | None
    file_format: FileFormat = FileFormat.TEXT
    passes: list[Pass] = []  # at most one; none: the built-in extractor reads, by chapters
    notice: str | None = None  # for whoever watches


class BookFile(BaseModel):
    """The book as it was brought, in the blob store."""

    key: str


class BookText(BaseModel):
    """The normalised text, in the blob store, and its chapters."""

    text: Blob
    chapters: list[Chapter]


def open_edition(book: IngestBook, session: Session) -> Edition:
    """Take the next version number of the book. Raises BookNotFound."""
    row = open_version(session, book.book_id)
    passes, notice = choose_passes(book.extractor, session.connection())
    return Edition(
        book_id=row.id,
        version=row.last_version,
        file_url=row.file_url,
        file_blob=row.file_blob,
        file_format=row.file_format,
        passes=passes,
        notice=notice,
    )


@step(idle_s=300)
def fetch_file(edition: Edition, blobs: Blobs, fetch: Fetch, progress: Progress) -> BookFile:
    """Download the file, unless it was uploaded. Raises FetchRefused; Unavailable is retried."""
    if edition.notice:
        progress(0, 1, edition.notice)
    if edition.file_blob:
        return BookFile(key=edition.file_blob)
    data = fetch.download(edition.file_url or "", progress=lambda d, t: progress(d, t, "bytes"))
    return BookFile(key=blobs.put(data).key)


# In a process of its own: a file that was made to harm may take it down, but nobody else.
@step(queue="cpu", idle_s=300)
def stage_text(
    edition: Edition, file: BookFile, blobs: Blobs, documents: Documents, progress: Progress
) -> BookText:
    """Read what the file says, normalise it and find its chapters.

    Raises EmptyFile, NotText, DocumentBroken, DocumentProtected, DocumentTooLarge,
    DocumentWithoutText, NotEnglish.
    """
    document = documents.read(
        blobs.get(file.key),
        edition.file_format,
        progress=lambda done, total: progress(done, total, "pages"),
    )
    text, chapters = stage(document)
    check_english(text)
    progress(len(chapters), len(chapters), "chapters")
    return BookText(text=blobs.put(text.encode()), chapters=chapters)
