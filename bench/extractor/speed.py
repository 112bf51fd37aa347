"""How fast one text is read and in how much memory: `python -m bench.extractor.speed FILE`.

A process of its own per file, so that the peak is that text's alone. Seconds are of processor time.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from models.reading import Chapter
from models.text import find_chapters, normalise
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.chapter import attribute, prepare
from tasks.adapters.extractors.lexicon import lexicon, weights


class Speed(NamedTuple):
    """Tokens, tokens per second for cast and quotes alone and for everything, and peak memory."""

    tokens: int
    quotes_per_s: float
    all_per_s: float
    peak_mb: float


def measure(path: Path) -> Speed:
    """Measure one file in a process of its own."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Speed(*json.loads(done.stdout))


def read_here(path: Path) -> Speed:
    """Read one file in this process."""
    lexicon(), weights()
    text = normalise(path.read_text(encoding="utf-8"))
    chapters = find_chapters(text)
    start = time.process_time()
    _cast_and_quotes(text, chapters)
    between = time.process_time()
    tokens = BuiltinExtractor().read(text).book.tokens
    end = time.process_time()
    return Speed(tokens, tokens / (between - start), tokens / (end - between), _peak_mb())


def _peak_mb() -> float:
    """Return the most memory this program has held: Linux's VmHWM.

    `getrusage` would answer with the parent's peak, which survives the exec of a child.
    """
    told = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(told[1]) / 2**10 if told else 0.0


def _cast_and_quotes(text: str, chapters: list[Chapter]) -> None:
    extractor = BuiltinExtractor()
    cast = extractor.cast([extractor.scan(text, chapter) for chapter in chapters])
    for chapter in chapters:
        prepared = prepare(text, chapter, cast)
        attribute(text, prepared.page, chapter.index, prepared.questions, prepared.cast)


if __name__ == "__main__":
    print(json.dumps(read_here(Path(sys.argv[1]))))
