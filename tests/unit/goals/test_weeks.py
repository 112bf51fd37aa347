from datetime import date

import pytest

from models.goals.weeks import WeeksOutOfRange, dates_in, weeks_in, weeks_wanted


@pytest.mark.parametrize(
    ("text", "weeks"),
    [
        ("Lose 15 lbs and improve stamina over 12 weeks", 12),
        ("Complete a structured 8-week ML curriculum", 8),
        ("2 months", 8),
        ("in three months", 12),
        ("within ten days", 2),
        ("a year", 52),
        ("half a year", 26),
        ("I fell ill 3 weeks ago; done in two months", 8),
        ("3 weeks of rest, but over 10 weeks in all", 10),
        ("Read 12 books", None),
        ("1,000 weeks", None),
        ("", None),
    ],
)
def test_weeks_are_read_from_words(text: str, weeks: int | None) -> None:
    assert weeks_in(text) == weeks


@pytest.mark.parametrize("text", ["0 weeks", "over 500 weeks", "in 2 years", "999999-week"])
def test_an_impossible_number_of_weeks_is_refused(text: str) -> None:
    with pytest.raises(WeeksOutOfRange):
        weeks_in(text)


def test_what_is_said_goes_before_the_words_and_these_before_the_default() -> None:
    assert weeks_wanted("In 4 weeks", "over 8 weeks", said=2, default=6) == 2
    assert weeks_wanted("In 4 weeks", "over 8 weeks", said=None, default=6) == 8
    assert weeks_wanted("In 4 weeks", "", said=None, default=6) == 4
    assert weeks_wanted("Run", "", said=None, default=6) == 6


def test_dates_that_do_not_exist_are_left_out() -> None:
    assert dates_in("by 2026-02-30, or 2026-03-01") == [date(2026, 3, 1)]
