"""Run it: `python -m bench.booknlp_smoke --python INTERPRETER [--text FILE] [--chars N]`."""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from models.reading import Reading
from models.text import find_chapters, normalise
from tasks.adapters.extractors.booknlp.adapter import BookNLPReader
from tasks.adapters.extractors.booknlp.process import Child

NOVEL = Path(__file__).parents[2] / "tests/data/novels/DaisyMiller.txt"
CHARS = 12_000  # of the text: some minutes on two busy cores


def smoke(python: str, text: str, folder: Path) -> None:
    """Make weights, check them, and read `text`; prints what came of it."""
    (folder / "sample").write_text(text, encoding="utf-8")
    made = folder / "made"
    command = [python, "-W", "ignore", str(Path(__file__).with_name("make_weights.py")), str(made)]
    subprocess.run([*command, str(folder / "sample")], check=True, stdout=subprocess.DEVNULL)
    where = ("--models", str(made / "models"), "--base", str(made), "--size", "small")
    reader = BookNLPReader(Child(python, (*where, "--spacy-model", str(made / "spacy"))))
    if reader.unfit:
        sys.exit(f"BookNLP cannot work here: {reader.unfit}")
    began, phases = time.monotonic(), Counter[str]()

    def watch(done: int, total: int, phase: str) -> None:
        if not phases[phase]:
            print(f"  {time.monotonic() - began:6.1f} s  {phase} ({done} of {total} done)")
        phases[phase] += 1

    report(reader.read(text, find_chapters(text), watch=watch), time.monotonic() - began)


def report(reading: Reading, took_s: float) -> None:
    """Print the size of everything; with random weights, its meaning is nil."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    kinds = Counter(mention.kind for mention in reading.mentions)
    print(
        f"{reading.book.version}: {reading.book.tokens} tokens in {took_s:.0f} s, start included; "
        f"at most {peak:.1f} GB\n{len(reading.characters)} people, {len(reading.quotes)} "
        f"quotations, mentions {dict(kinds)}, {len(reading.relations)} relations"
    )


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="of the environment that has BookNLP")
    parser.add_argument("--text", type=Path, default=NOVEL)
    parser.add_argument("--chars", type=int, default=CHARS)
    given = parser.parse_args()
    text = normalise(given.text.read_text(encoding="utf-8"))[: given.chars]
    with tempfile.TemporaryDirectory(prefix="booknlp-smoke-") as folder:
        smoke(given.python, text, Path(folder))


if __name__ == "__main__":
    main()
