"""Who answers in a group."""

from uuid import UUID

import pytest

from models.books.group import Speaker, choose_speaker

HOLMES, WATSON, MARY = (UUID(int=k) for k in range(1, 4))
CAST = [
    Speaker(HOLMES, ("Sherlock Holmes", "Holmes", "Mr. Holmes")),
    Speaker(WATSON, ("Dr. Watson", "Watson")),
    Speaker(MARY, ("Mary Morstan", "Miss Morstan")),
]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Watson, what do you make of it?", WATSON),
        ("watson, what do you make of it?", WATSON),
        ("What does Holmes think, Watson?", WATSON),
        ("Holmes told me. Miss Morstan: is that so?", MARY),
        ("What does Holmes think of Watson?", HOLMES),
        ("What did Watson and Holmes find?", WATSON),
        ("@Watson is it true of Holmes", WATSON),
        ("Watson", WATSON),
        ("Watsonian holmeses", HOLMES),
        ("Who was it?", HOLMES),
    ],
)
def test_whoever_is_addressed_or_else_named_first_answers(text: str, who: UUID) -> None:
    assert choose_speaker(text, CAST, []).id == who


@pytest.mark.parametrize(
    ("spoken", "who"),
    [
        ([HOLMES], WATSON),
        ([HOLMES, WATSON], MARY),
        ([HOLMES, WATSON, MARY], HOLMES),
        ([HOLMES, WATSON, MARY, HOLMES], WATSON),
        ([MARY, MARY, WATSON, HOLMES], MARY),
    ],
)
def test_who_was_silent_longest_answers_when_nobody_is_named(spoken: list[UUID], who: UUID) -> None:
    assert choose_speaker("And then?", CAST, spoken).id == who


def test_the_longer_name_is_meant_where_two_share_the_shorter() -> None:
    jane, elizabeth = UUID(int=8), UUID(int=9)
    cast = [
        Speaker(elizabeth, ("Elizabeth Bennet", "Miss Bennet")),
        Speaker(jane, ("Jane Bennet", "Miss Bennet of Longbourn")),
    ]
    assert choose_speaker("Miss Bennet of Longbourn?", cast, []).id == jane


def test_a_name_is_no_pattern() -> None:
    assert choose_speaker("Mr. Holmes?", [Speaker(MARY, ("M*", "(")), *CAST], []).id == HOLMES
