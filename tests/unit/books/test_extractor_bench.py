import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.extractor.calibrate import calibration_error, log_loss
from bench.extractor.corpora import find_novels, read_novel
from bench.extractor.score import Tally, assign, b_cubed, score
from tasks.adapters.extractors.builtin import BuiltinExtractor

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "data" / "annotated"
STORY = FOLDER / "TheLostUmbrella"


def test_a_folder_of_annotated_novels_is_found_at_any_depth(tmp_path: Path) -> None:
    shutil.copytree(STORY, tmp_path / "corpus" / "data" / "Story")
    (tmp_path / "corpus" / "novel_text.txt").write_text("no annotations beside it")
    assert find_novels(tmp_path) == [tmp_path / "corpus" / "data" / "Story"]
    assert find_novels(STORY) == [STORY]


def test_an_annotated_novel_is_read() -> None:
    novel = read_novel(STORY)
    broken = novel.quotations[2]
    assert [novel.text[start:end] for start, end in broken.spans] == [
        '"You were out in the garden,"',
        '"and it rained."',
    ]
    assert (broken.speaker, broken.kind) == ("Mr. Harold Finch", "anaphoric")
    assert broken.addressees == ("Mrs. Clara Pell",)
    finch, pell, agnes, puss = novel.people
    assert finch.aliases == {"Mr. Harold Finch", "Mr. Finch", "Finch", "Harold"}
    assert (finch.gender, pell.gender, puss.gender) == ("he", "she", "")
    assert (agnes.important, puss.important) == (True, False)


def test_a_quotation_by_nobody_listed_is_left_out_and_counted() -> None:
    novel = read_novel(STORY)
    assert (len(novel.quotations), novel.foreign) == (7, 1)


def test_a_missing_column_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(STORY, tmp_path / "Story")
    people = tmp_path / "Story" / "character_info.csv"
    people.write_text(people.read_text().replace("Main Name", "Title"))
    with pytest.raises(KeyError, match="Main Name"):
        read_novel(tmp_path / "Story")


def test_a_reading_is_scored() -> None:
    novel = read_novel(STORY)
    tally = score(novel, BuiltinExtractor().read(novel.text))
    assert (tally.right["found"], tally.all["found"]) == (7, 7)
    assert (tally.right["explicit"], tally.all["explicit"]) == (5, 5)
    assert (tally.all["anaphoric"], tally.all["implicit"]) == (1, 1)
    assert (tally.right["cast"], tally.all["cast"]) == (3, 3)
    assert tally.rate("gender") == 1.0


def test_only_one_cluster_counts_for_a_person() -> None:
    pairs = [(1, "Ann"), (1, "Ann"), (2, "Ann"), (2, "Bob"), (3, "Bob"), (None, "Bob")]
    assert assign(pairs) == {1: "Ann", 2: "Bob"}


def test_b_cubed_punishes_splitting_and_joining() -> None:
    assert b_cubed([1, 1, 2], ["Ann", "Ann", "Bob"]) == (3, 3)
    assert b_cubed([1, 2], ["Ann", "Ann"]) == (2, 1)
    assert b_cubed([1, 1], ["Ann", "Bob"]) == (1, 2)
    assert b_cubed([None, None], ["Ann", "Ann"]) == (2, 1)


def test_tallies_add_up() -> None:
    one, other = Tally(), Tally()
    one.add("cast", 1, 2)
    other.add("cast", 2, 2)
    one.update(other)
    assert one.rate("cast") == 0.75
    assert one.rate("gender") is None


def test_speed_and_memory_are_measured_in_a_process_of_their_own() -> None:
    command = [sys.executable, "-m", "bench.extractor.speed", str(STORY / "novel_text.txt")]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    tokens, quotes_per_s, all_per_s, peak_mb = json.loads(done.stdout)
    assert 150 < tokens < 300
    assert min(quotes_per_s, all_per_s) > 0
    assert 10 < peak_mb < 400


def test_confidence_is_measured_against_what_was_right() -> None:
    fair = [(0.75, True)] * 3 + [(0.75, False)]
    assert calibration_error(fair) == 0
    assert calibration_error([(0.75, False)] * 4) == 0.75
    assert log_loss(fair) < log_loss([(0.95, True)] * 3 + [(0.95, False)])
