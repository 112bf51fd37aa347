"""What may be told to somebody who has not read everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.books.horizon import (
    ChapterEnd,
    NotMetYet,
    check_met,
    horizon,
    known_within,
    last_passage,
    passage_is_within,
    standing,
)  # fmt: skip

CHAPTERS = [ChapterEnd(title=f"C{k}", last_passage=3 * k + 2) for k in range(4)]
PROFILE = {
    "first_chapter": 0,
    "last_chapter": 3,
    "quotes": ["early", "late", "told"],
    "quote_places": [{"chapter": 0, "start": 9, "end": 14}, {"chapter": 3}, {"chapter": 1}],
    "described_at": {"kind": [{"chapter": 3}, {"chapter": 1}], "cruel": [{"chapter": 3}]},
    "relations": [
        {"name": "Bob", "chapters": [2, 1]},
        {"name": "Cass", "first_chapter": 3},
        {"name": "Dora"},
    ],
}


def known(up_to: int | None, profile: dict[str, object] | None = PROFILE) -> str:
    told = known_within(
        name="Ann", persona="the murderer", aliases=["Mrs. Bob"], profile=profile, up_to=up_to
    )
    return f"{told.persona} {told.aliases} {told.quotes}"


def test_a_reader_of_the_whole_book_hears_the_whole_persona() -> None:
    assert "murderer" in known(None)
    assert "Mrs. Bob" in known(None)
    assert "late" in known(None)


def test_a_persona_is_whole_where_the_book_says_no_more_of_it_later() -> None:
    assert "murderer" in known(4)
    assert "murderer" not in known(3)


def test_facts_of_later_chapters_are_left_out() -> None:
    told = known(2)
    assert all(fact in told for fact in ("Ann", "early", "told", "Bob", "kind"))
    assert not any(fact in told for fact in ("murderer", "Mrs. Bob", "late", "Cass", "cruel"))


def test_what_does_not_say_where_it_stands_is_left_out() -> None:
    assert "Dora" not in known(3)
    told = known(1, {"quotes": ["early"], "relations": [{"name": "Bob"}]})
    assert "early" not in told
    assert "Bob" not in told
    assert "Ann" in known(1, None)


def test_a_horizon_at_the_end_of_the_book_is_none() -> None:
    assert [horizon(up_to, 4) for up_to in (None, 3, 4, 9)] == [None, 3, None, None]
    assert horizon(2, 0) == 2, "how long the book is may be unknown"


@pytest.mark.parametrize(("up_to", "last"), [(None, None), (1, 2), (3, 8), (4, 11), (9, 11)])
def test_the_last_passage_is_that_of_the_last_chapter_read(
    up_to: int | None, last: int | None
) -> None:
    assert last_passage(CHAPTERS, up_to) == last


@given(some.integers(0, 3), some.integers(1, 4))
def test_a_passage_within_the_index_limit_is_of_a_chapter_that_was_read(
    chapter: int, up_to: int
) -> None:
    limit = last_passage(CHAPTERS, up_to)
    assert limit is not None
    index = CHAPTERS[chapter].last_passage
    assert (index <= limit) == passage_is_within({"chapter": chapter}, up_to)


def test_a_passage_without_a_chapter_is_not_told() -> None:
    assert passage_is_within({}, None)
    assert not passage_is_within({}, 4)


def test_who_comes_later_is_refused_by_name_and_chapter() -> None:
    check_met("Ann", {"first_chapter": 2}, 3)
    check_met("Ann", None, None)
    with pytest.raises(NotMetYet, match="Ann first appears in chapter 3; you have read up to"):
        check_met("Ann", {"first_chapter": 2}, 2)
    with pytest.raises(NotMetYet):
        check_met("Ann", None, 2)


def test_a_prompt_says_where_the_reader_stands() -> None:
    assert standing(None, CHAPTERS) == ""
    assert "chapter 2 (C1) and no further" in standing(2, CHAPTERS)
    assert "chapter 2 and no further" in standing(2, [])
