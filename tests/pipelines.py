"""Small pipelines that show every kind of step, for tests of the engine."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel import Session

from models.errors import Unavailable, Unprocessable
from tasks.pipeline import Pipeline, each, parallel, step
from tasks.tools import Ask, Checkpoint, JobRef, Progress, Tokens


class Numbers(BaseModel):
    """What all test pipelines start from."""

    count: int = 3
    sleep_s: float = 0.0
    fail: list[str] = []  # steps or items that fail for good
    flaky: int = 0  # how often `flaky_step` fails before it succeeds
    folder: str = ""  # where files count what was done outside
    hold: bool = False  # until the folder has a file `go`


class One(BaseModel):
    key: str
    value: int


class Listed(BaseModel):
    items: list[One]


class Doubled(BaseModel):
    key: str
    value: int


class Left(BaseModel):
    value: int


class Right(BaseModel):
    value: int


class Summed(BaseModel):
    total: int


class Recorded(BaseModel):
    rows: int


class Refused(Unprocessable):
    """The test asked for this failure."""

    code = "test_refused"


def paid(folder: str, name: str) -> int:
    """Count an outside effect in a file and return how often it has happened."""
    if not folder:
        return 0
    path = Path(folder) / f"{name}.paid"
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(path.read_text().splitlines())


def held_back(numbers: Numbers) -> Iterator[None]:
    """Yield again and again until the test lets go."""
    while numbers.hold and not (Path(numbers.folder) / "go").exists():
        yield
        time.sleep(0.05)


def _effect(session: Session, job: JobRef, name: str) -> None:
    session.connection().execute(
        text("INSERT INTO test_effect (id, job_id, name) VALUES (:id, :job, :name)"),
        {"id": uuid5(job.id, f"{name}{time.monotonic_ns()}"), "job": job.id, "name": name},
    )


def list_numbers(numbers: Numbers) -> Listed:
    time.sleep(numbers.sleep_s)
    return Listed(items=[One(key=f"n{k}", value=k) for k in range(numbers.count)])


@step(max_attempts=3)
def double(one: One, numbers: Numbers, progress: Progress) -> Doubled:
    paid(numbers.folder, f"double-{one.key}")
    if one.key in numbers.fail and not (Path(numbers.folder) / "mended").exists():
        raise Refused(key=one.key)
    parts = 10 if numbers.sleep_s else 1
    for _ in held_back(numbers):
        progress(0, parts, "parts")
    for part in range(parts):
        time.sleep(numbers.sleep_s / parts)
        progress(part + 1, parts, "parts")
    return Doubled(key=one.key, value=2 * one.value)


def left(doubled: list[Doubled]) -> Left:
    return Left(value=sum(one.value for one in doubled))


def right(doubled: list[Doubled]) -> Right:
    return Right(value=len(doubled))


def add(left: Left, right: Right) -> Summed:
    return Summed(total=left.value + right.value)


def record(summed: Summed, job: JobRef, session: Session) -> Recorded:
    _effect(session, job, "record")
    return Recorded(rows=1)


fan = Pipeline(
    "tests.fan",
    list_numbers,
    each(double, over=Listed, items="items", key="key"),
    parallel(left, right),
    add,
    record,
    input=Numbers,
    startable=True,
)


class Aside(BaseModel):
    times: int


def aside(numbers: Numbers) -> Aside:
    return Aside(times=paid(numbers.folder, "aside"))


tolerant = Pipeline(
    "tests.tolerant",
    list_numbers,
    each(double, over=Listed, items="items", key="key", optional=True),
    aside,
    left,
    input=Numbers,
    startable=True,
)


class First(BaseModel):
    value: int


class Second(BaseModel):
    value: int


class Third(BaseModel):
    value: int


@step(max_attempts=6)
def write_first(numbers: Numbers, job: JobRef, session: Session) -> First:
    _effect(session, job, "first")
    return First(value=1)


@step(max_attempts=6)
def flaky_step(first: First, numbers: Numbers, progress: Progress) -> Second:
    times = paid(numbers.folder, "flaky")
    if "flaky_step" in numbers.fail and not (Path(numbers.folder) / "mended").exists():
        raise Refused()
    if 0 < times <= numbers.flaky:
        raise Unavailable("Not yet.", retry_after_s=0.05)
    for _ in held_back(numbers):
        progress(0, 20, "parts")
    for part in range(20):
        time.sleep(numbers.sleep_s / 20)
        progress(part + 1, 20, "parts")
    return Second(value=first.value + 1)


@step(queue="cpu", max_attempts=6)
def on_cpu(second: Second, numbers: Numbers, progress: Progress) -> Third:
    for part in range(20):
        time.sleep(numbers.sleep_s / 20)
        progress(part + 1, 20, "parts")
    return Third(value=second.value + 1)


@step(max_attempts=6)
def write_last(third: Third, job: JobRef, session: Session) -> Recorded:
    _effect(session, job, "last")
    return Recorded(rows=third.value)


line = Pipeline(
    "tests.line", write_first, flaky_step, on_cpu, write_last, input=Numbers, startable=True
)


@step(queue="cpu")
def grind(numbers: Numbers, progress: Progress) -> Third:
    for _ in held_back(numbers):
        progress(0, 1, "parts")
    return Third(value=0)


grinding = Pipeline("tests.grinding", grind, input=Numbers, startable=True)


@step(max_attempts=1)
def dawdle(numbers: Numbers) -> Second:
    if paid(numbers.folder, "dawdle") == 1:
        time.sleep(numbers.sleep_s)
    return Second(value=0)


@step(queue="cpu", max_attempts=1)
def dawdle_on_cpu(numbers: Numbers) -> Third:
    if paid(numbers.folder, "dawdle_on_cpu") == 1:
        time.sleep(numbers.sleep_s)
    return Third(value=0)


dawdling = Pipeline("tests.dawdling", parallel(dawdle, dawdle_on_cpu), input=Numbers)


class Name(BaseModel):
    name: str


class Greeting(BaseModel):
    text: str


def ask_name(numbers: Numbers, ask: Ask) -> Name:
    return ask("What is your name?", Name)


def greet(name: Name) -> Greeting:
    return Greeting(text=f"Hello, {name.name}!")


asking = Pipeline("tests.asking", ask_name, greet, input=Numbers, startable=True)


class Spoken(BaseModel):
    text: str


class Kept(BaseModel):
    length: int


@step(queue="stream", max_attempts=5)
def speak(numbers: Numbers, tokens: Tokens) -> Spoken:
    def pieces() -> object:
        for k in range(numbers.count):
            time.sleep(numbers.sleep_s / max(1, numbers.count))
            yield f"w{k} "
            if k == 0:
                yield from ("" for _ in held_back(numbers))

    return Spoken(text=tokens.write(pieces()))  # type: ignore[arg-type]


@step(queue="stream")
def keep(spoken: Spoken, job: JobRef, session: Session) -> Kept:
    _effect(session, job, "keep")
    return Kept(length=len(spoken.text))


speaking = Pipeline("tests.speaking", speak, keep, input=Numbers, fused=True, startable=True)


class Half(BaseModel):
    done: int


class Whole(BaseModel):
    done: int


@step(max_attempts=4)
def two_halves(numbers: Numbers, checkpoint: Checkpoint) -> Whole:
    half = checkpoint.load(Half)
    if half is None:
        paid(numbers.folder, "first-half")
        checkpoint.save(Half(done=1))
    if paid(numbers.folder, "second-half") == 1:
        raise Unavailable("The second half fails once.", retry_after_s=0.05)
    return Whole(done=2)


halves = Pipeline("tests.halves", two_halves, input=Numbers, startable=True)


EFFECTS = """
CREATE TABLE IF NOT EXISTS test_effect (
    id uuid PRIMARY KEY, job_id uuid NOT NULL, name text NOT NULL, UNIQUE (job_id, name)
)
"""
OWNER = UUID("00000000-0000-4000-8000-000000000001")
