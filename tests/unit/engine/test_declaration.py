import pytest
from pydantic import BaseModel
from sqlmodel import Session

from tasks.pipeline import REGISTRY, Pipeline, each, parallel
from tasks.tools import LLM, Tokens
from tests import pipelines
from tests.pipelines import Doubled, Left, Listed, Numbers, Right, Summed


def broken(*parts: object) -> None:
    Pipeline("broken", *parts, input=Numbers)  # type: ignore[arg-type]


def test_a_step_that_asks_for_what_nothing_provides_is_refused() -> None:
    def early(summed: Summed) -> Left:
        raise AssertionError

    with pytest.raises(TypeError, match="early needs summed: Summed"):
        broken(early)


def test_siblings_do_not_see_each_other() -> None:
    def one(numbers: Numbers) -> Left:
        raise AssertionError

    def two(left: Left) -> Right:
        raise AssertionError

    with pytest.raises(TypeError, match="two needs left: Left"):
        broken(parallel(one, two))


def test_a_step_that_both_talks_and_writes_is_refused() -> None:
    def greedy(numbers: Numbers, llm: LLM, session: Session) -> Left:
        raise AssertionError

    with pytest.raises(TypeError, match="split it in two"):
        broken(greedy)


def test_two_steps_that_return_the_same_are_refused() -> None:
    def one(numbers: Numbers) -> Left:
        raise AssertionError

    def two(left: Left) -> Left:
        raise AssertionError

    with pytest.raises(TypeError, match="returns Left"):
        broken(one, two)


def test_a_stream_inside_each_is_refused() -> None:
    def speak_one(one: pipelines.One, tokens: Tokens) -> Doubled:
        raise AssertionError

    with pytest.raises(TypeError, match="streams inside each"):
        broken(pipelines.list_numbers, each(speak_one, over=Listed, items="items", key="key"))


def test_a_second_stream_is_refused() -> None:
    def one(numbers: Numbers, tokens: Tokens) -> Left:
        raise AssertionError

    def two(left: Left, tokens: Tokens) -> Right:
        raise AssertionError

    with pytest.raises(TypeError, match="more than one streaming step"):
        broken(one, two)


def test_each_over_something_that_is_no_list_is_refused() -> None:
    def pick(numbers: Numbers) -> Left:
        raise AssertionError

    with pytest.raises(TypeError, match="which is no list"):
        broken(each(pick, over=Numbers, items="count", key="key"))


def test_a_step_that_returns_no_model_is_refused() -> None:
    def nothing(numbers: Numbers) -> int:
        raise AssertionError

    with pytest.raises(TypeError, match="returns a Pydantic model"):
        broken(nothing)


def test_a_fingerprint_depends_on_types_and_not_on_prose() -> None:
    class Given(BaseModel):
        """One."""

        value: int

    def one(given: Given) -> Left:
        """Say this."""
        raise AssertionError

    before = Pipeline("same", one, input=Given).fingerprint
    Given.__doc__ = "Another."
    one.__doc__ = "Say that."
    assert Pipeline("same", one, input=Given).fingerprint == before

    def two(given: Given) -> Right:
        raise AssertionError

    two.__name__ = "one"
    assert Pipeline("same", two, input=Given).fingerprint != before
    del REGISTRY["same"]


def test_a_chain_ends_before_every_fan_out() -> None:
    chains = [spec.chain for spec in pipelines.fan.specs]

    assert chains[0] is not None
    assert chains[1:4] == [None, None, None]
    assert chains[4] == chains[5] != chains[0]
