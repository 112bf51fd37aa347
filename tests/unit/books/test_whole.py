"""The steps that let BookNLP read a book whole, with a reader in memory."""

from collections.abc import Callable

import pytest

from models.blobs import Blob
from models.errors import DomainError
from models.reading import Chapter, Reading
from models.text import find_chapters
from pipelines.books.choice import Pass
from pipelines.books.staging import BookText
from pipelines.books.whole import WholeReading, plan_chapters, read_whole
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.refusals import BookNLPFailed, BookNLPUnfit
from tests.fakes import FakeBlobs

TEXT = 'CHAPTER I\n\nAnn met Bob. "Good day, Bob," said Ann.\n\nCHAPTER II\n\nBob smiled at Ann.\n'


class FakeReader:
    """Reads as the built-in extractor does, or raises what it was made with."""

    def __init__(self, error: DomainError | None = None) -> None:
        self.error = error

    def read(
        self, text: str, chapters: list[Chapter], *, watch: Callable[[int, int, str], None]
    ) -> Reading:
        watch(0, 2, "startup")
        if self.error:
            raise self.error
        return BuiltinExtractor().read(text)


class Told(list[str]):
    """Progress that is only remembered."""

    def __call__(self, done: float, total: float, message: str = "") -> None:
        self.append(message)


def run(
    error: DomainError | None = None, *, required: bool = True
) -> tuple[WholeReading, Told, FakeBlobs]:
    blobs, told = FakeBlobs(), Told()
    book = BookText(text=blobs.put(TEXT.encode()), chapters=find_chapters(TEXT))
    whole = read_whole(Pass(required=required), book, blobs, FakeReader(error), told)  # type: ignore[arg-type]
    return whole, told, blobs


def test_a_whole_reading_is_kept_and_leaves_no_chapter() -> None:
    whole, told, blobs = run()
    assert whole.reading is not None
    assert Reading.model_validate_json(blobs.get(whole.reading.key)).book.sha256
    assert told == ["startup"]
    book = BookText(text=whole.reading, chapters=find_chapters(TEXT))
    assert plan_chapters(book, [whole]).chapters == []
    assert plan_chapters(book, [whole]).whole == whole.reading


@pytest.mark.parametrize(
    ("error", "required"),
    [(BookNLPUnfit("weights are missing"), True), (BookNLPFailed("too big"), False)],
)
def test_what_booknlp_cannot_read_is_left_to_the_builtin_extractor(
    error: DomainError, required: bool
) -> None:
    whole, told, _ = run(error, required=required)
    assert whole.reading is None
    assert told[-1] == f"The built-in extractor reads this book instead of BookNLP: {error}"
    book = BookText(text=Blob(key="a", sha256="a", size_bytes=1), chapters=find_chapters(TEXT))
    assert plan_chapters(book, [whole]).chapters == plan_chapters(book, []).chapters
    assert len(plan_chapters(book, []).chapters) == 2


def test_a_pass_that_was_asked_for_by_name_fails_its_job() -> None:
    with pytest.raises(BookNLPFailed):
        run(BookNLPFailed("too big"))
