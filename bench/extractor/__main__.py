"""Score the extractor: `python -m bench.extractor [PATH …]`.

Each path is LitBank's folder, a novel of the documented form (`corpora.py`) or a folder of such. On
LitBank the weights are of models that have not seen the work scored (5 folds); elsewhere they are
the packaged ones. Speed and memory are measured on the seven novels among the test data and on all
novels given. Prints the tables and writes them to `bench/extractor/RESULTS.md`.
"""

import argparse
from pathlib import Path

from tasks.adapters.extractors.builtin import BuiltinExtractor

from .corpora import find_novels, read_novel
from .litbank import as_novel, is_litbank, load
from .masked import load_masked
from .questions import ask
from .results import RESULTS, page, quality_table, speed_table
from .score import Tally, score
from .speed import Speed, measure
from .train import held_out

NOVELS = Path("tests/data/novels")
FOLDS = 5


def score_litbank(root: Path) -> tuple[str, Tally]:
    """Score all works of LitBank, each with weights trained without it."""
    documents = load(root)
    trained = held_out([ask(d) for d in documents], load_masked(NOVELS), FOLDS)
    total = Tally()
    for document in documents:
        novel = as_novel(document)
        total.update(score(novel, BuiltinExtractor(trained[novel.name]).read(novel.text)))
    return f"LitBank, {len(documents)} works, {FOLDS}-fold", total


def score_folder(path: Path) -> dict[str, Tally]:
    """Score each novel at or under a path, and all together. Raises SystemExit: none there."""
    folders = find_novels(path)
    if not folders:
        raise SystemExit(f"No novel of the documented form under {path}.")
    rows: dict[str, Tally] = {}
    total = Tally()
    for folder in folders:
        novel = read_novel(folder)
        rows[novel.name] = score(novel, BuiltinExtractor().read(novel.text))
        total.update(rows[novel.name])
        print(quality_table({novel.name: rows[novel.name]}).splitlines()[-1], flush=True)
    return rows | {f"{path.name}, all {len(folders)}": total}


def texts(paths: list[Path]) -> dict[str, Path]:
    """Return the texts to measure speed on, by name."""
    found = {file.stem: file for file in sorted(NOVELS.glob("*.txt"))}
    for path in paths:
        found |= {folder.name: folder / "novel_text.txt" for folder in find_novels(path)}
    return found


def main() -> None:
    """Score what is given, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.extractor", description=__doc__)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: dict[str, Tally] = {}
    for path in options.paths:
        rows |= dict([score_litbank(path)]) if is_litbank(path) else score_folder(path)
    others = [path for path in options.paths if not is_litbank(path)]
    speeds: dict[str, Speed] = {name: measure(file) for name, file in texts(others).items()}
    quality = quality_table(rows) if rows else "No annotated corpus was given."
    print(quality, speed_table(speeds), sep="\n\n")
    command = " ".join(["python -m bench.extractor", *(path.name for path in options.paths)])
    options.out.write_text(page(command, quality, speed_table(speeds), NOTES), encoding="utf-8")


NOTES = """LitBank annotates the first 2,000 words or so of each work and no types: there, the types
are the extractor's own, people are those named, the cast to find are those mentioned ten times or
more, and many speak without a name. A quotation that is not found counts as wrong. "per character":
how many characters found stand for one person; "list precision": of those mentioned ten times or
more, who is somebody listed."""


if __name__ == "__main__":
    main()
