"""What runs in BookNLP's own process: `python -m tasks.adapters.extractors.booknlp.child`.

Knows only the standard library and BookNLP, so that it may live in another environment than ours.
Exit codes: 0 done, UNFIT when it cannot work here (why stands last on stderr), else a failure.
"""

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import Any

UNFIT = 3
ORPHANED = 4
BOOK_ID = "book"  # what the files of the output are called
PIPELINE = "entity,quote,supersense,event,coref"
# From 4.31 on, transformers' BERT has no such entry, and BookNLP's checkpoints (of 2021) do.
POSITIONS = "bert.embeddings.position_ids"
WEIGHTS = {
    "small": (
        "entities_google_bert_uncased_L-4_H-256_A-4-v1.0.model",
        "coref_google_bert_uncased_L-2_H-256_A-4-v1.0.model",
        "speaker_google_bert_uncased_L-8_H-256_A-4-v1.0.1.model",
    ),
    "big": (
        "entities_google_bert_uncased_L-6_H-768_A-12-v1.0.model",
        "coref_google_bert_uncased_L-12_H-768_A-12-v1.0.model",
        "speaker_google_bert_uncased_L-12_H-768_A-12-v1.0.1.model",
    ),
}


class Unfit(Exception):
    """BookNLP cannot work here."""


def base_of(weights: str) -> str:
    """Return the name of the BERT model that a file of weights was tuned from."""
    return "google/" + weights.split("google_")[1].rsplit("-v", 1)[0]


def check_files(models: Path, size: str) -> None:
    """Look for the weights: BookNLP would fetch missing ones over plain HTTP. Raises Unfit."""
    missing = [name for name in WEIGHTS[size] if not (models / name).is_file()]
    if missing:
        raise Unfit(f"weights are missing: {', '.join(missing)}")


def check_libraries(size: str, spacy_model: str) -> None:
    """Try what fails late or, worse, without a word. Raises Unfit."""
    try:
        import booknlp.english.english_booknlp  # noqa: F401
        import spacy
        from transformers import BertTokenizer
    except ImportError as error:
        raise Unfit(f"not installed: {error}") from error
    if not (Path(spacy_model).is_dir() or spacy.util.is_package(spacy_model)):
        raise Unfit(f"spaCy's model {spacy_model} is missing")
    for base in (base_of(name) for name in WEIGHTS[size]):
        try:
            tokenizer = BertTokenizer.from_pretrained(
                base, do_lower_case=False, do_basic_tokenize=False
            )
        except OSError as error:
            raise Unfit(f"the base model {base} is missing") from error
        check_pieces(tokenizer.tokenize("n't"))


def check_pieces(pieces: list[str]) -> None:
    """See that "n't" is one word: transformers 5 makes three of it, and says nothing.

    Pieces of one word begin with "##", so they are no mark of that; a bare "'" is. Raises Unfit.
    """
    if "'" in pieces:
        raise Unfit(f"this transformers cuts words that BookNLP was trained on whole: {pieces}")


def drop_positions() -> None:
    """Let checkpoints be loaded that have an entry which newer versions of BERT have not."""
    import torch
    import transformers

    if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < (4, 31):
        return
    load = torch.load

    def load_without(*args: Any, **options: Any) -> Any:
        state = load(*args, **options)
        if isinstance(state, dict):
            state.pop(POSITIONS, None)
        return state

    torch.load = load_without


def read(text: Path, folder: Path, models: Path, size: str, spacy_model: str) -> None:
    """Let BookNLP read a file and write its own files to `folder`."""
    drop_positions()
    from booknlp.booknlp import BookNLP

    parameters = {
        "pipeline": PIPELINE,
        "model": size,
        "model_path": str(models),
        "spacy_model": spacy_model,
    }
    BookNLP("en", parameters).process(str(text), str(folder), BOOK_ID)


def leave_with_parent() -> None:
    """End when the other end of standard input is closed: whoever wanted the result is gone."""

    def wait() -> None:
        os.read(0, 1)  # not through sys.stdin, whose lock would be held when we end ourselves
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Check what is there, and unless only that was asked for, read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--size", choices=sorted(WEIGHTS), required=True)
    parser.add_argument("--spacy-model", required=True)
    parser.add_argument("--base", type=Path, help="folder that holds google/bert_uncased_…")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    leave_with_parent()
    if given.base:
        os.chdir(given.base)  # transformers takes google/… for a folder where there is one
    try:
        check_files(given.models, given.size)
        check_libraries(given.size, given.spacy_model)
    except Unfit as reason:
        print(reason, file=sys.stderr)  # noqa: T201 — our way of telling the parent
        return UNFIT
    if given.text and given.folder:
        read(given.text, given.folder, given.models, given.size, given.spacy_model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
