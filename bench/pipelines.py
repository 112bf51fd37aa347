"""Longrun's side of the comparisons: small pipelines for every figure."""

import time
from collections.abc import Iterator
from itertools import islice

from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel import Session

from bench.work import allowed, ring
from tasks.pipeline import Pipeline, each, step
from tasks.tools import LLM, Message, Progress, Tokens

WORK = text("INSERT INTO bench_work (run, step) VALUES (:run, :step)")
LONG_S = 30.0  # nothing here runs that long undisturbed


class Run(BaseModel):
    """One job of a run."""

    run: str


class First(BaseModel):
    """The first row is in."""


class Second(BaseModel):
    """The second row is in."""


class Third(BaseModel):
    """The third row is in."""


class Fourth(BaseModel):
    """The fourth row is in."""


def _work(session: Session, run: str, number: int) -> None:
    session.connection().execute(WORK, {"run": run, "step": number})


@step(queue="cpu")
def one(run: Run, session: Session) -> First:
    """Insert a row."""
    _work(session, run.run, 1)
    return First()


@step(queue="cpu")
def two(run: Run, first: First, session: Session) -> Second:
    """Insert a row."""
    _work(session, run.run, 2)
    return Second()


@step(queue="cpu")
def three(run: Run, second: Second, session: Session) -> Third:
    """Insert a row."""
    _work(session, run.run, 3)
    return Third()


@step(queue="cpu")
def four(run: Run, third: Third, session: Session) -> Fourth:
    """Insert a row."""
    _work(session, run.run, 4)
    return Fourth()


line = Pipeline("bench.line", one, two, three, four, input=Run)
fused = Pipeline("bench.fused", one, two, three, four, input=Run, fused=True)


class Rung(BaseModel):
    """The driver was told."""


@step(queue="cpu")
def tell(run: Run) -> Rung:
    """Tell the driver."""
    ring(run=run.run)
    return Rung()


single = Pipeline("bench.single", tell, input=Run, startable=True)


class Waited(BaseModel):
    """The driver let the step end."""


class Kept(BaseModel):
    """The effect is committed."""


def _wait(run: Run, progress: Progress) -> Waited:
    ring(run=run.run)
    until = time.monotonic() + LONG_S
    while time.monotonic() < until and not allowed(run.run):
        progress(0, 1)
        time.sleep(0.1)
    return Waited()


@step(queue="io", max_attempts=9)
def wait_in_thread(run: Run, progress: Progress) -> Waited:
    """Wait, as for a model that answers late."""
    return _wait(run, progress)


@step(queue="cpu", max_attempts=9)
def wait_in_child(run: Run, progress: Progress) -> Waited:
    """Wait, as in a long computation."""
    return _wait(run, progress)


@step(queue="io", max_attempts=9)
def keep_from_thread(run: Run, waited: Waited, session: Session) -> Kept:
    """Insert a row."""
    _work(session, run.run, 1)
    return Kept()


@step(queue="cpu", max_attempts=9)
def keep_from_child(run: Run, waited: Waited, session: Session) -> Kept:
    """Insert a row."""
    _work(session, run.run, 1)
    return Kept()


on_threads = Pipeline("bench.on_threads", wait_in_thread, keep_from_thread, input=Run)
on_children = Pipeline("bench.on_children", wait_in_child, keep_from_child, input=Run)


class Spoken(BaseModel):
    """What was said."""

    text: str


@step(queue="stream")
def speak(run: Run, tokens: Tokens) -> Spoken:
    """Stream a word every 10 ms."""
    return Spoken(text=tokens.write(_words(LONG_S)))


def _words(seconds: float) -> Iterator[str]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
        yield "word "


@step(queue="stream")
def relay(run: Run, llm: LLM, tokens: Tokens) -> Spoken:
    """Pass a model's answer on."""
    asked = [Message(role="user", content=run.run)]
    return Spoken(text=tokens.write(llm.stream(asked, purpose="chat")))


relaying = Pipeline("bench.relaying", relay, input=Run, fused=True)
speaking = Pipeline("bench.speaking", speak, input=Run, fused=True)


@step(queue="stream")
def speak_briefly(run: Run, tokens: Tokens) -> Spoken:
    """Stream as many words as the run's name says."""
    return Spoken(text=tokens.write(islice(_words(LONG_S), int(run.run))))


speaking_briefly = Pipeline("bench.speaking_briefly", speak_briefly, input=Run, fused=True)


class Item(BaseModel):
    """One of many."""

    key: str


class Items(BaseModel):
    """As many as the run's name says."""

    items: list[Item]


class Seen(BaseModel):
    """One was looked at."""

    key: str


class All(BaseModel):
    """How many were looked at."""

    count: int


def spread(run: Run) -> Items:
    """Make items."""
    return Items(items=[Item(key=str(number)) for number in range(int(run.run))])


def look(item: Item, progress: Progress) -> Seen:
    """Look at one, and say so a few times."""
    for part in range(5):
        progress(part + 1, 5, "looks")
    return Seen(key=item.key)


def gather(seen: list[Seen]) -> All:
    """Count them."""
    return All(count=len(seen))


fan = Pipeline(
    "bench.fan", spread, each(look, over=Items, items="items", key="key"), gather, input=Run
)
