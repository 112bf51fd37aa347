"""BookNLP as a tool: one pass over the whole book, in a process of its own."""

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from config.settings import settings
from models.reading import Chapter, Reading
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.summary import summarise
from tasks.refusals import BookNLPUnfit

from .chapters import ChapterCutter
from .child import BOOK_ID
from .output import Output, parse_booknlp
from .people import merge_people
from .process import PHASES, Child

logger = logging.getLogger(__name__)

RELEASE = "1.0.8"  # of BookNLP, to which all of this was fitted


class BookNLPReader:
    """Reads books with BookNLP, as configured by `BOOKNLP_…`.

    Made when its worker starts, and then tries out at once whether BookNLP can work there; what is
    missing is logged, and every book refused with it until the worker starts anew.
    """

    def __init__(self, child: Child | None = None) -> None:
        self._child = child or _configured()
        self.version = f"booknlp-{RELEASE}-{settings.booknlp.size}+{BuiltinExtractor.version}"
        self.unfit: str | None = None
        try:
            with tempfile.TemporaryDirectory(prefix="booknlp-") as folder:
                self._child.run(Path(folder))
        except BookNLPUnfit as error:
            self.unfit = str(error)
            logger.error("BookNLP cannot work here: %s", error)

    def read(
        self, text: str, chapters: list[Chapter], *, watch: Callable[[int, int, str], None]
    ) -> Reading:
        """Return the whole book, read. Raises BookNLPUnfit, BookNLPFailed."""
        if self.unfit is not None:
            raise BookNLPUnfit(self.unfit)
        with tempfile.TemporaryDirectory(prefix="booknlp-") as name:
            folder = Path(name)
            (folder / "text").write_text(text, encoding="utf-8", newline="")
            self._child.run(
                folder,
                *("--text", str(folder / "text"), "--folder", str(folder / BOOK_ID)),
                watch=lambda done: watch(done, len(PHASES), (*PHASES, "output")[done]),
            )
            output = parse_booknlp(folder / BOOK_ID)
        return assemble(text, chapters, output, self.version)


def assemble(text: str, chapters: list[Chapter], output: Output, version: str) -> Reading:
    """Return BookNLP's output as a reading, its people merged by the built-in extractor's names.

    Pure and deterministic.
    """
    ours = BuiltinExtractor()
    known = ours.cast([ours.scan(text, chapter) for chapter in chapters])
    cast, member_of = merge_people(output, known)
    readings = ChapterCutter(text, chapters, output, cast, member_of).cut()
    reading = summarise(text, chapters, cast, readings, version)
    return reading.model_copy(
        update={"book": reading.book.model_copy(update={"backend": "booknlp"})}
    )


def _configured() -> Child:
    told = settings.booknlp
    models = str(Path(told.model_path).absolute())
    base = ("--base", str(Path(told.base_path).absolute())) if told.base_path else ()
    return Child(
        python=told.python or sys.executable,
        arguments=(
            *("--models", models, "--size", told.size, "--spacy-model", told.spacy_model, *base),
        ),
        timeout_s=told.timeout_s,
    )
