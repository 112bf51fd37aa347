"""What the README tells of speed is what was measured, the losses included."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def rows(page: str) -> list[list[str]]:
    """Return the cells of each figure in a page's table."""
    lines = (ROOT / page).read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [row for row in cells if len(row) == 6 and row[0] not in ("figure", "---")]


def test_the_readme_shows_every_figure_with_an_aim_and_those_alone() -> None:
    measured = [row for row in rows("bench/RESULTS.md") if row[4]]

    assert measured
    assert [row[:5] for row in rows("README.md")] == [row[:5] for row in measured]


def test_what_was_missed_is_called_missed_in_both() -> None:
    verdicts = {row[0]: "**missed**" in row[5] for row in rows("bench/RESULTS.md") if row[4]}

    assert verdicts == {row[0]: row[5] == "**missed**" for row in rows("README.md")}
