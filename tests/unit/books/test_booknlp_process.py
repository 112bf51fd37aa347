"""BookNLP's process, a real one; only the package in it is a stand-in."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.reading import Chapter, Reading
from models.text import find_chapters
from tasks.adapters.extractors.booknlp.adapter import BookNLPReader
from tasks.adapters.extractors.booknlp.child import WEIGHTS, Unfit, base_of, check_pieces
from tasks.adapters.extractors.booknlp.process import PHASES, Child, phases_done
from tasks.refusals import BookNLPFailed, BookNLPUnfit

from .booknlp_outputs import stand_in, unpack

Make = Callable[..., Child]


class Stop(BaseException):
    """What the engine raises to end a step."""


@pytest.fixture
def text(tmp_path: Path) -> str:
    return (unpack("emma", tmp_path / "emma") / "emma.txt").read_text("utf-8")


@pytest.fixture
def make(tmp_path: Path, text: str) -> Make:
    models = tmp_path / "models"
    models.mkdir()
    for name in WEIGHTS["small"]:
        (models / name).touch()
    environment = stand_in(tmp_path / "packages") | {
        "FAKE_TEXT": str(tmp_path / "emma" / "emma.txt"),
        "FAKE_OUTPUT": str(tmp_path / "emma"),
        "FAKE_PID": str(tmp_path / "pid"),
    }

    def child(size: str = "small", timeout_s: float = 30, **more: str) -> Child:
        arguments = ("--models", str(models), "--size", size, "--spacy-model", "en_core_web_sm")
        return Child(sys.executable, arguments, timeout_s, environment | more)

    return child


def ignore(done: int, total: int, phase: str) -> None:
    """Watch nothing."""


def read(reader: BookNLPReader, text: str) -> Reading:
    return reader.read(text, find_chapters(text), watch=ignore)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_a_book_is_read_in_a_process_of_its_own(make: Make, text: str) -> None:
    reader = BookNLPReader(make())
    assert reader.unfit is None
    reading = read(reader, text)
    assert reading.book.backend == "booknlp"
    assert reading.book.version == reader.version
    assert reader.version.startswith("booknlp-1.0.8-small+builtin-")
    assert "Emma" in [character.name for character in reading.characters]


@pytest.mark.parametrize(
    ("size", "manner", "why"),
    [
        ("big", "", "weights are missing: entities_google_bert_uncased_L-6_H-768_A-12-v1.0.model"),
        ("small", "cuts", "cuts words"),
        ("small", "no base", "base model google/bert_uncased_L-4_H-256_A-4 is missing"),
    ],
)
def test_what_is_missing_is_told_at_the_start_and_with_every_book(
    make: Make, text: str, size: str, manner: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = BookNLPReader(make(size, FAKE_MANNER=manner))
    assert why in caplog.text
    with pytest.raises(BookNLPUnfit, match=why):
        read(reader, text)


def test_a_missing_library_or_interpreter_makes_it_unfit(make: Make, tmp_path: Path) -> None:
    bare = {"PYTHONPATH": str(Path(__file__).parents[3])}
    assert "not installed" in str(BookNLPReader(make(**bare)).unfit)
    gone = Child(str(tmp_path / "python"), make().arguments)
    assert "no interpreter" in str(BookNLPReader(gone).unfit)


@pytest.mark.parametrize(
    ("manner", "told"), [("exit", "Problem!!!! Linked [PAR]"), ("nothing", "has not written")]
)
def test_a_pass_that_fails_says_with_what_words(
    make: Make, text: str, manner: str, told: str
) -> None:
    reader = BookNLPReader(make(FAKE_MANNER=manner))
    with pytest.raises(BookNLPFailed) as caught:
        read(reader, text)
    assert told in f"{caught.value} {caught.value.details}"


def test_a_pass_ends_with_its_time(make: Make, text: str, tmp_path: Path) -> None:
    reader = BookNLPReader(make(timeout_s=3, FAKE_MANNER="hang"))
    with pytest.raises(BookNLPFailed, match="longer than 3 s"):
        read(reader, text)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_pass_that_is_not_wanted_any_more_is_killed(
    make: Make, text: str, tmp_path: Path
) -> None:
    reader = BookNLPReader(make(FAKE_MANNER="hang"))
    seen: list[tuple[int, int, str]] = []

    def watch(done: int, total: int, phase: str) -> None:
        seen.append((done, total, phase))
        if done == 2 and (tmp_path / "pid").exists():
            raise Stop

    with pytest.raises(Stop):
        reader.read(text, [Chapter(index=0, title="", start=0, end=9, body=0)], watch=watch)
    assert seen[-1] == (2, len(PHASES), "entities")
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_process_whose_parent_died_ends_by_itself(make: Make, tmp_path: Path, text: str) -> None:
    child = make(FAKE_MANNER="hang")
    parent = os.fork()
    if parent == 0:  # pragma: no cover — a worker that is about to be killed
        arguments = ("--text", str(tmp_path / "emma/emma.txt"), "--folder", str(tmp_path / "out"))
        child.run(tmp_path, *arguments)
        os._exit(0)
    pid = tmp_path / "pid"
    until(lambda: pid.exists() and bool(pid.read_text()))
    os.kill(parent, 9)
    os.waitpid(parent, 0)
    child_pid = int(pid.read_text())
    until(lambda: not alive(child_pid))
    assert not alive(child_pid)


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_pieces_of_one_word_are_told_from_words() -> None:
    check_pieces(["n", "##'", "##t"])
    check_pieces(["[UNK]"])
    with pytest.raises(Unfit):
        check_pieces(["n", "'", "t"])


def test_base_models_and_phases_are_named_as_bookNLP_names_them() -> None:
    assert base_of(WEIGHTS["big"][2]) == "google/bert_uncased_L-12_H-768_A-12"
    assert phases_done("--- startup: 6.4 seconds ---\n--- name coref: 0.1 seconds ---\nx") == 2
