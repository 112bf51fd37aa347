"""Pipelines with every kind of step, each of which comes to what the test has in mind for it."""

from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel import Session

from models.errors import Unavailable, Unprocessable
from tasks.pipeline import REGISTRY, Pipeline, each, parallel, step
from tasks.progress import HandedOver
from tasks.tools import Ask, JobRef, Progress


class Asked(BaseModel):
    items: int = 2


class Item(BaseModel):
    key: str


class Items(BaseModel):
    items: list[Item]


class One(BaseModel):
    pass


class Two(BaseModel):
    pass


class Three(BaseModel):
    pass


class Four(BaseModel):
    pass


class Done(BaseModel):
    key: str


class Hopeless(Unprocessable):
    """The example wants this step to fail for good."""

    code = "test_hopeless"


class Fate:
    """What the step that runs next is to come to; the test sets it."""

    now = "succeed"

    @classmethod
    def take(cls, progress: Progress | None = None) -> None:
        if cls.now == "retry":
            raise Unavailable("Not now.", retry_after_s=5)
        if cls.now == "fail":
            raise Hopeless()
        if cls.now == "hand over":
            raise HandedOver
        if cls.now == "look" and progress is not None:
            progress(1, 1)


def _effect(session: Session, job: JobRef, name: str) -> None:
    session.connection().execute(
        text("INSERT INTO machine_effect VALUES (:job, :name)"), {"job": job.id, "name": name}
    )
    Fate.take()


def first(asked: Asked, job: JobRef, session: Session) -> One:
    _effect(session, job, "first")
    return One()


def second(one: One, progress: Progress) -> Two:
    Fate.take(progress)
    return Two()


@step(queue="cpu", max_attempts=2)
def third(two: Two, progress: Progress) -> Three:
    Fate.take(progress)
    return Three()


def last(three: Three, job: JobRef, session: Session) -> Four:
    _effect(session, job, "last")
    return Four()


def make(asked: Asked) -> Items:
    Fate.take()
    return Items(items=[Item(key=f"n{k}") for k in range(asked.items)])


@step(max_attempts=2)
def work(item: Item, progress: Progress) -> Done:
    Fate.take(progress)
    return Done(key=item.key)


def inquire(done: list[Done], ask: Ask) -> One:
    Fate.take()
    ask("Go on?", str)
    return One()


def write(done: list[Done], job: JobRef, session: Session) -> Two:
    _effect(session, job, "write")
    return Two()


def join(one: One, two: Two, job: JobRef, session: Session) -> Four:
    _effect(session, job, "join")
    return Four()


PIPELINES = [
    Pipeline("tests.machine.line", first, second, third, last, input=Asked),
    Pipeline("tests.machine.fused", first, second, third, last, input=Asked, fused=True),
    Pipeline(
        "tests.machine.fan",
        make,
        each(work, over=Items, items="items", key="key", optional=True),
        parallel(inquire, write),
        join,
        input=Asked,
    ),
]
WRITING = ("first", "last", "write", "join")
for _one in PIPELINES:
    del REGISTRY[_one.name]  # known only while the world lasts
