"""Published outputs of BookNLP, unpacked, and a stand-in for the package that writes them."""

import gzip
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "data" / "booknlp"
ROOT = Path(__file__).parents[3]


def unpack(name: str, target: Path) -> Path:
    """Unpack one output's files into `target`, and return it."""
    target.mkdir(parents=True, exist_ok=True)
    for packed in (FOLDER / name).glob("*.gz"):
        (target / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return target


# What the child imports, as small as can be. FAKE_… in its environment say how it behaves.
_MODULES = {
    "booknlp/__init__.py": "",
    "booknlp/english/__init__.py": "",
    "booknlp/english/english_booknlp.py": "",
    "booknlp/booknlp.py": """
import os, shutil, subprocess, sys, time
from pathlib import Path

class BookNLP:
    def __init__(self, language, parameters):
        assert language == "en" and parameters["pipeline"].count(",") == 4
        assert Path(parameters["model_path"]).is_dir()
        print("--- startup: 0.001 seconds ---")

    def process(self, text, folder, name):
        assert open(text).read() == Path(os.environ["FAKE_TEXT"]).read_text("utf-8")
        print("--- spacy: 0.001 seconds ---")
        manner = os.environ.get("FAKE_MANNER")
        if manner == "exit":
            print("Problem!!!! Linked [PAR]", file=sys.stderr)
            sys.exit(1)
        if manner == "hang":
            Path(os.environ["FAKE_PID"]).write_text(str(os.getpid()))
            time.sleep(60)
        if manner == "nothing":
            return
        os.makedirs(folder)
        for file in Path(os.environ["FAKE_OUTPUT"]).iterdir():
            shutil.copy(file, Path(folder) / (name + file.suffix))
""",
    "spacy/__init__.py": "from . import util",
    "spacy/util.py": "def is_package(name): return name == 'en_core_web_sm'",
    "torch.py": "load = None",
    "transformers.py": """
import os
__version__ = "4.57.6"

class BertTokenizer:
    @classmethod
    def from_pretrained(cls, name, **options):
        if os.environ.get("FAKE_MANNER") == "no base":
            raise OSError(name)
        return cls()

    def tokenize(self, word):
        return ["n", "'", "t"] if os.environ.get("FAKE_MANNER") == "cuts" else ["n", "##'", "##t"]
""",
}


def stand_in(folder: Path) -> dict[str, str]:
    """Write a stand-in for BookNLP and its libraries; return the environment that finds it."""
    for name, text in _MODULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}
