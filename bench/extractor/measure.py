"""Measure the extractor: `python -m bench.extractor.measure [--litbank FOLDER] [FILE …]`.

On LitBank: the quotations found, and the speakers (with weights trained on it too: see
`train --folds` for works left out). On each file (default: the seven novels): tokens per second of
processor time for cast and quotes alone and for all, and the memory used.
"""

import argparse
import resource
import time
from pathlib import Path

from models.reading import Chapter
from models.text import find_chapters, normalise
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.chapter import attribute, prepare
from tasks.adapters.extractors.lexicon import weights

from .litbank import load
from .questions import ask
from .train import accuracy


def measure_litbank(root: Path) -> None:
    """Print how many of LitBank's quotations are found, and how many speakers are right."""
    found = total = inside = known = 0
    works = []
    for document in load(root):
        asked = ask(document)
        works += list(asked.chapters())
        every = [span for turn in asked.spans for span in turn]
        spans = [span for span in every if span[1] <= document.end]
        total += len(document.quotes)
        found += sum(any(s < q.end and e > q.start for s, e in every) for q in document.quotes)
        inside += len(spans)
        known += sum(any(s < q.end and e > q.start for q in document.quotes) for s, e in spans)
    print(
        f"quotes found: {found / total:.3f} of {total}; annotated: {known / inside:.3f} of {inside}"
    )
    for kind, (good, all_) in sorted(accuracy(works, weights()).items()):
        print(f"  speakers {kind}: {good / all_:.3f} of {all_}")


def measure_speed(path: Path) -> None:
    """Print speed and memory for one book."""
    text = normalise(path.read_text(encoding="utf-8"))
    chapters = find_chapters(text)
    extractor = BuiltinExtractor()
    start = time.process_time()
    _cast_and_quotes(text, chapters)
    between = time.process_time()
    reading = extractor.read(text)
    end = time.process_time()
    tokens = reading.book.tokens
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    size = len(reading.model_dump_json()) / 2**20
    print(
        f"{path.stem}: {tokens} tokens; cast and quotes {tokens / (between - start):,.0f}/s, all "
        f"{tokens / (end - between):,.0f}/s; at most {peak:.0f} MB of memory so far; "
        f"{size:.1f} MB as JSON"
    )


def _cast_and_quotes(text: str, chapters: list[Chapter]) -> None:
    extractor = BuiltinExtractor()
    cast = extractor.cast([extractor.scan(text, chapter) for chapter in chapters])
    for chapter in chapters:
        prepared = prepare(text, chapter, cast)
        attribute(text, prepared.page, chapter.index, prepared.questions, prepared.cast)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litbank", type=Path)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    weights()
    if options.litbank:
        measure_litbank(options.litbank)
    for path in options.files or sorted(Path("tests/data/novels").glob("*.txt")):
        measure_speed(path)


if __name__ == "__main__":
    main()
