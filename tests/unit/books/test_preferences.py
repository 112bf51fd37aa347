"""How wishes reach a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from models.books.preferences import CLOSING, HEADING, TOLD_CHARS, Preferences, merged, wishes

TEXT = some.text(alphabet=some.characters(codec="utf-8", exclude_characters="\x00"), max_size=100)
LINES = some.lists(TEXT, max_size=10)
ANY = some.builds(
    Preferences, relationship_mode=TEXT, custom_relationship=TEXT, speech_modifiers=LINES,
    behavioral_modifiers=LINES, preference_summary=TEXT,
)  # fmt: skip


def test_nothing_wished_for_is_nothing_said() -> None:
    assert wishes(Preferences()) == ""
    assert wishes(Preferences(speech_modifiers=[" \n"])) == ""


def test_wishes_are_told_by_what_they_touch() -> None:
    told = wishes(
        Preferences(
            relationship_mode="custom", custom_relationship="an old rival",
            speech_modifiers=["short", "dry"], behavioral_modifiers=["teases"],
        )
    )  # fmt: skip
    assert told.splitlines() == [
        HEADING,
        "- How you stand to the reader: an old rival",
        "- How you speak: short; dry",
        "- How you behave: teases",
        CLOSING,
    ]


@given(ANY)
def test_no_wish_gets_a_line_of_its_own_or_the_last_word(preferences: Preferences) -> None:
    told = wishes(preferences)
    if told:
        first, *lines, last = told.splitlines()
        assert (first, last) == (HEADING, CLOSING)
        assert all(line.startswith("- ") for line in lines)
        assert len("\n".join(lines)) <= TOLD_CHARS


def test_many_wishes_are_cut_and_the_rule_stays() -> None:
    told = wishes(Preferences(speech_modifiers=["x" * 100] * 10, preference_summary="y" * 1000))
    assert len(told) == len(HEADING) + len(CLOSING) + 2 + TOLD_CHARS
    assert told.endswith(CLOSING)


def test_wishes_for_one_talk_go_before_the_general_ones() -> None:
    general = Preferences(
        relationship_mode="custom", custom_relationship="a friend", speech_modifiers=["short"]
    )
    assert merged(general, Preferences()) == general
    own = merged(general, Preferences(relationship_mode="rival"))
    assert (own.relationship_mode, own.custom_relationship) == ("rival", "")
    assert own.speech_modifiers == ["short"]


@given(ANY, ANY)
def test_merging_again_changes_nothing(general: Preferences, own: Preferences) -> None:
    once = merged(general, own)
    assert merged(once, own) == once


@pytest.mark.parametrize(
    "wrong",
    [
        {"preference_summary": "x" * 1001},
        {"speech_modifiers": ["x"] * 11},
        {"relationship_mode": "a\x00b"},
    ],
)
def test_wishes_have_limits(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preferences.model_validate(wrong)
