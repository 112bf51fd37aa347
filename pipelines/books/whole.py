"""A book that is read in one pass instead of chapter by chapter."""

from pydantic import BaseModel

from models.blobs import Blob
from models.errors import DomainError
from models.reading import Chapter
from pipelines.books.choice import Pass
from pipelines.books.staging import BookText
from tasks.pipeline import step
from tasks.refusals import BookNLPFailed, BookNLPUnfit
from tasks.tools import Blobs, BookReader, Progress


class WholeReading(BaseModel):
    """A book read whole, in the blob store; None where that could not be done."""

    reading: Blob | None


class Unread(BaseModel):
    """The chapters that are still to be read: none where somebody has read the book whole."""

    chapters: list[Chapter]
    whole: Blob | None


@step(queue="booknlp", max_attempts=2, idle_s=120, dispensable=True)
def read_whole(
    whole: Pass, book: BookText, blobs: Blobs, reader: BookReader, progress: Progress
) -> WholeReading:
    """Let BookNLP read the book; where it cannot work, leave it to the built-in extractor.

    Raises BookNLPFailed, unless that was not asked for by name.
    """
    text = blobs.get(book.text.key).decode()
    try:
        reading = reader.read(text, book.chapters, watch=progress)
    except BookNLPUnfit as error:
        return _not_read(error, progress)
    except BookNLPFailed as error:
        if whole.required:
            raise
        return _not_read(error, progress)
    return WholeReading(reading=blobs.put(reading.model_dump_json().encode()))


def _not_read(error: DomainError, progress: Progress) -> WholeReading:
    progress(1, 1, f"The built-in extractor reads this book instead of BookNLP: {error}")
    return WholeReading(reading=None)


def plan_chapters(book: BookText, readings: list[WholeReading]) -> Unread:
    """Leave no chapter to read where the book has been read whole."""
    whole = next((one.reading for one in readings if one.reading), None)
    return Unread(chapters=[] if whole else book.chapters, whole=whole)
