"""Pipelines of which only so many jobs run at once."""

import time

from pydantic import BaseModel

from tasks.pipeline import Concurrency, Pipeline, each, step
from tasks.tools import Progress
from tests.pipelines import Doubled, Half, Numbers, One, Refused, Whole, paid


class Keyed(Numbers):
    """Numbers of which only so many are worked on at once."""

    key: str | None = "one"


@step(max_attempts=2)
def work(numbers: Keyed, progress: Progress) -> Whole:
    paid(numbers.folder, "work")
    for part in range(10):
        time.sleep(numbers.sleep_s / 10)
        progress(part + 1, 10, "parts")
    return Whole(done=1)


def rest(whole: Whole, numbers: Keyed) -> Half:
    if "rest" in numbers.fail:
        raise Refused()
    return Half(done=whole.done)


keyed = Pipeline(
    "tests.keyed", work, rest, input=Keyed, startable=True, concurrency=Concurrency(key="key")
)

paired = Pipeline(
    "tests.paired",
    work,
    rest,
    input=Keyed,
    startable=True,
    concurrency=Concurrency(key=lambda numbers: numbers.key and f"{numbers.key}!", limit=2),
)


class KeyedItems(BaseModel):
    items: list[One]


def double_one(one: One) -> Doubled:
    return Doubled(key=one.key, value=2 * one.value)


keyed_each = Pipeline(
    "tests.keyed_each",
    each(double_one, over=KeyedItems, items="items", key="key"),
    input=KeyedItems,
    startable=True,
    concurrency=Concurrency(key=lambda _: "all"),
)
