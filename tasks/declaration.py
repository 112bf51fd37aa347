"""How a step is declared, and what its signature says it needs and gives."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from inspect import get_annotations
from types import GenericAlias
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel
from sqlmodel import Session

from tasks.forms import shape
from tasks.progress import Progress
from tasks.streams import Tokens
from tasks.toolbox import ENGINE_TOOLS, TOOLS

StepFunction = Callable[..., BaseModel]
F = TypeVar("F", bound=StepFunction)
KEY_CHARS = 200  # of a concurrency key; longer ones are known by their hash
Type = Any  # a class or a `list[...]`: what a parameter's annotation says


class Kind(StrEnum):
    """How a step is run, and what is promised for it."""

    PURE = "pure"  # outside any transaction; repeatable
    OUTSIDE = "outside"  # outside any transaction, under a lease; at least once
    WRITING = "writing"  # inside one transaction, with its own success; exactly once


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How the engine treats a step."""

    queue: str = "io"
    max_attempts: int = 4
    idle_s: float | None = None
    dispensable: bool = False


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many jobs of a pipeline with the same key are under way at once.

    `key`: a field of the pipeline's input, or a function of it; None as its result is no limit. The
    others wait, without a worker, until one of these has ended.
    """

    key: str | Callable[[Any], object]
    limit: int = 1

    def check(self, where: str, given: type[BaseModel]) -> None:
        """Check the declaration. Raises TypeError."""
        if self.limit < 1:
            raise TypeError(f"{where} would never run: its concurrency limit is {self.limit}")
        if isinstance(self.key, str) and self.key not in given.model_fields:
            raise TypeError(f"{where}: {given.__name__} has no field {self.key} to be its key")

    def place(self, where: str, input: BaseModel) -> dict[str, Any]:
        """Return what a job of the pipeline `where` waits for; no other pipeline's is the same."""
        value = getattr(input, self.key) if isinstance(self.key, str) else self.key(input)
        if value is None:
            return {}
        told = str(value)
        if len(told) > KEY_CHARS:
            told = hashlib.sha256(told.encode()).hexdigest()
        return {"concurrency_key": f"{where}:{told}", "concurrency_limit": self.limit}


@dataclass(frozen=True, slots=True)
class Parallel:
    """Steps that may run at the same time. The next one waits for all of them."""

    functions: tuple[StepFunction, ...]


@dataclass(frozen=True, slots=True)
class Each:
    """A step that runs once for every item of a list that an earlier step has produced."""

    function: StepFunction
    over: type[BaseModel]
    items: str
    key: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Spec:
    """One declared step, understood: what it needs, what it gives, where it stands."""

    name: str
    function: StepFunction
    options: StepOptions
    needs: dict[str, Type]
    gives: type[BaseModel]
    position: int
    each: Each | None = None
    chain: int | None = None

    @property
    def kind(self) -> Kind:
        """What the step's signature promises."""
        wanted = list(self.needs.values())
        if Session in wanted:
            return Kind.WRITING
        return Kind.OUTSIDE if any(is_outside(tool) for tool in wanted) else Kind.PURE

    @property
    def streams(self) -> bool:
        """Whether the step writes to the job's token stream."""
        return Tokens in self.needs.values()

    @property
    def result(self) -> Type:
        """What later steps ask for: the model, or a list of it."""
        return GenericAlias(list, (self.gives,)) if self.each else self.gives


def step(
    *,
    queue: str = "io",
    max_attempts: int = 4,
    idle_s: float | None = None,
    dispensable: bool = False,
) -> Callable[[F], F]:
    """Set a step's options. The function itself stays plain and can be called in tests.

    `idle_s`: seconds without progress after which the step is taken back and run elsewhere.
    `dispensable`: it is planned only where a worker for it lives: without one, nothing is missing.
    """

    def mark(function: F) -> F:
        function.__step__ = StepOptions(queue, max_attempts, idle_s, dispensable)  # type: ignore[attr-defined]
        return function

    return mark


def parallel(*functions: StepFunction) -> Parallel:
    """Run steps at the same time."""
    return Parallel(functions)


def each(
    function: StepFunction, *, over: type[BaseModel], items: str, key: str, optional: bool = False
) -> Each:
    """Run a step once for each item of the list `items` of the model `over`.

    `key` names the item's field that tells items apart. With `optional`, failed items leave the job
    degraded; else they fail it, once their siblings are done.
    """
    return Each(function, over, items, key, optional)


def is_outside(wanted: Type) -> bool:
    """Say whether a parameter of this type reaches outside of the process and its database."""
    return wanted in TOOLS and TOOLS[wanted].outside


def lay_out(
    where: str, parts: tuple[StepFunction | Parallel | Each, ...], *, fused: bool
) -> list[Spec]:
    """Return the steps of a pipeline's parts, from their signatures. Raises TypeError."""
    specs: list[Spec] = []
    chain = 0
    for position, part in enumerate(parts):
        before = specs[-1] if specs else None
        (first, *others) = _understand(where, part, position, chain)
        alone = before is not None and before.chain is not None and first.chain is not None
        if not alone or (fused and before and before.options.queue != first.options.queue):
            chain += 1  # a Celery chain ends before every fan-out, a fused run with its queue
            (first, *others) = _understand(where, part, position, chain)
        specs += [first, *others]
    return specs


def fingerprint(where: str, specs: list[Spec], given: type[BaseModel], *, fused: bool) -> str:
    """Return a digest of names, order and types: what jobs in flight depend on."""
    told: list[Any] = [where, fused, shape(given)]
    for spec in specs:
        over = [spec.each.over.__name__, spec.each.items, spec.each.key] if spec.each else None
        gives = [spec.gives.__name__, shape(spec.gives)]
        told.append([spec.position, spec.name, spec.chain, over, *gives])
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _understand(
    where: str, part: StepFunction | Parallel | Each, position: int, chain: int
) -> list[Spec]:
    if isinstance(part, Parallel):
        return [_spec(where, function, position) for function in part.functions]
    if isinstance(part, Each):
        return [_spec(where, part.function, position, each=part)]
    return [_spec(where, part, position, chain=chain)]


def _spec(
    where: str,
    function: StepFunction,
    position: int,
    *,
    each: Each | None = None,
    chain: int | None = None,
) -> Spec:
    name = function.__name__
    types = get_annotations(function, eval_str=True)
    gives = types.pop("return", None)
    if not (isinstance(gives, type) and issubclass(gives, BaseModel)):
        raise TypeError(f"{where}.{name} must say that it returns a Pydantic model")
    options = getattr(function, "__step__", StepOptions())
    return Spec(name, function, options, types, gives, position, each, chain)


def check(where: str, specs: list[Spec], given: Type) -> None:
    """Check that every step finds what it asks for. Raises TypeError.

    `given`: the pipeline's input. A step may use what came before its own position only.
    """
    producers: dict[Type, Spec | None] = {given: None}
    for position in sorted({spec.position for spec in specs}):
        here = [spec for spec in specs if spec.position == position]
        for spec in here:
            _check_step(f"{where}.{spec.name}", spec, set(producers))
        for spec in here:
            if spec.result in producers or any(
                spec.gives is p.gives for p in producers.values() if p
            ):
                raise TypeError(
                    f"{where}.{spec.name} returns {spec.gives.__name__}, as another does"
                )
            producers[spec.result] = spec
    if sum(spec.streams for spec in specs) > 1:
        raise TypeError(f"{where} has more than one streaming step")
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise TypeError(f"{where} names a step twice")


def _check_step(where: str, spec: Spec, available: set[Type]) -> None:
    wanted = set(spec.needs.values())
    if Session in wanted and (any(map(is_outside, wanted)) or Progress in wanted or spec.streams):
        raise TypeError(f"{where} both talks to the outside and writes: split it in two")
    if spec.each:
        if spec.streams:
            raise TypeError(f"{where} streams inside each: there is one stream per job")
        available = available | {_item_type(where, spec.each, available)}
    for parameter, needed in spec.needs.items():
        if needed not in available and needed not in TOOLS and needed not in ENGINE_TOOLS:
            shown = getattr(needed, "__name__", needed) if not get_args(needed) else needed
            raise TypeError(f"{where} needs {parameter}: {shown}, which nothing before it provides")


def _item_type(where: str, each: Each, available: set[Type]) -> Type:
    """Return the class of the items of `each`. Raises TypeError when there is no such list."""
    if each.over not in available:
        raise TypeError(f"{where} runs over {each.over.__name__}, which nothing before it provides")
    field = each.over.model_fields.get(each.items)
    if field is None or get_origin(field.annotation) is not list:
        raise TypeError(f"{where} runs over {each.over.__name__}.{each.items}, which is no list")
    item = get_args(field.annotation)[0]
    if not (issubclass(item, BaseModel) and each.key in item.model_fields):
        raise TypeError(f"{where}: items of {each.items} have no field {each.key}")
    return item


def item_type(each: Each) -> type[BaseModel]:
    """Return the class of the items of a checked `each`."""
    item: type[BaseModel] = get_args(each.over.model_fields[each.items].annotation)[0]
    return item
