"""The built-in extractor: rules and a small linear model, no downloaded weights."""

from collections.abc import Mapping

from models.reading import CastList, Chapter, ChapterReading, ChapterScan, Reading
from models.text import find_chapters

from .cast import cast_book
from .chapter import read_chapter
from .scan import scan_chapter
from .summary import summarise


class BuiltinExtractor:
    """Finds the cast of a book and who says what, chapter by chapter.

    All methods are pure and deterministic: the same text and version give the same reading.
    """

    version = "builtin-3"

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        """Work with other weights than the packaged ones: for measuring what was held out."""
        self._weights = weights

    def scan(self, text: str, chapter: Chapter) -> ChapterScan:
        """Return the names and the evidence about them in one chapter."""
        return scan_chapter(text, chapter)

    def cast(self, scans: list[ChapterScan]) -> CastList:
        """Merge the scans into the book's cast: names, aliases, gender, narrator."""
        return cast_book(scans)

    def extract(self, text: str, chapter: Chapter, cast: CastList) -> ChapterReading:
        """Return one chapter's mentions, quotations with speakers, and actions."""
        return read_chapter(text, chapter, cast, self._weights)

    def finish(
        self, text: str, chapters: list[Chapter], cast: CastList, readings: list[ChapterReading]
    ) -> Reading:
        """Put the chapters together: totals, relations, importance."""
        return summarise(text, chapters, cast, readings, self.version)

    def read(self, text: str) -> Reading:
        """Read a whole normalised text in one go."""
        chapters = find_chapters(text)
        cast = self.cast([self.scan(text, chapter) for chapter in chapters])
        readings = [self.extract(text, chapter, cast) for chapter in chapters]
        return self.finish(text, chapters, cast, readings)
