"""A pipeline's steps as rows of a job: before it runs, as its items become known, and read back."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Connection

from models.jobs import running
from models.jobs.plan import Json, NewStep
from models.jobs.tables import StepStatus
from tasks.declaration import (
    Each,
    Parallel,
    Spec,
    StepFunction,
    Type,
    check,
    fingerprint,
    lay_out,
)  # fmt: skip
from tasks.forms import InvalidItems


class Plan:
    """The steps of a pipeline, what each needs and gives, and the rows that stand for them."""

    def __init__(
        self,
        name: str,
        parts: tuple[StepFunction | Parallel | Each, ...],
        input: type[BaseModel],
        *,
        fused: bool,
    ) -> None:
        """Lay the steps out. Raises TypeError if they do not fit together."""
        self.name = name
        self.input = input
        self.fused = fused
        self.specs = lay_out(name, parts, fused=fused)
        self.parts = len(parts)
        check(name, self.specs, input)
        self.steps = {spec.name: spec for spec in self.specs}
        self.producers: dict[Type, Spec] = {spec.result: spec for spec in self.specs}
        self.fingerprint = fingerprint(name, self.specs, input, fused=fused)

    def fresh(self) -> list[NewStep]:
        """Return the rows of a new job."""
        first = [spec for spec in self.specs if spec.position == 0 and not spec.each]
        return [
            self.row(spec, StepStatus.READY if spec in first else StepStatus.PENDING)
            for spec in self.specs
        ]

    def row(self, spec: Spec, status: StepStatus = StepStatus.PENDING, **more: Any) -> NewStep:
        """Return a plan row for a step (or, for an `each`, for its items that are not known)."""
        return NewStep(
            position=spec.position,
            name=spec.name,
            queue=spec.options.queue,
            max_attempts=spec.options.max_attempts,
            optional=bool(spec.each and spec.each.optional),
            fan_out=spec.each is not None and "item_key" not in more,
            chain=spec.chain,
            status=status,
            **more,
        )

    def _items(self, spec: Spec, source: BaseModel) -> list[NewStep]:
        assert spec.each is not None
        items: list[BaseModel] = getattr(source, spec.each.items)
        keys = [str(getattr(item, spec.each.key)) for item in items]
        if len(set(keys)) < len(keys) or "" in keys:
            raise InvalidItems(step=spec.name)
        return [
            self.row(spec, StepStatus.READY, item_key=key, item_index=index)
            for index, key in enumerate(keys)
        ]

    def expand(self, conn: Connection, job_id: UUID, position: int) -> list[NewStep]:
        """Return the items of the `each` at `position` as rows. Raises InvalidItems."""
        spec = next(spec for spec in self.specs if spec.position == position)
        assert spec.each is not None
        return self._items(spec, self.load(conn, job_id, [spec.each.over])[spec.each.over])

    def sources(self, spec: Spec) -> set[Type]:
        """Return the types of earlier steps' outputs that a step is carried out from."""
        return self.asked(spec) | ({spec.each.over} - {self.input} if spec.each else set())

    def asked(self, spec: Spec) -> set[Type]:
        """Return the types of earlier steps' outputs that a step is given whole."""
        return {type_ for type_ in spec.needs.values() if type_ in self.producers}

    def over(self, spec: Spec) -> tuple[str, str] | None:
        """Return the step whose output has the list that an `each` runs over, and the list."""
        if spec.each is None or spec.each.over is self.input:
            return None
        return self.producers[spec.each.over].name, spec.each.items

    def singles(self, spec: Spec) -> list[str]:
        """Return the names of the steps behind `asked`, but for those that are an `each`."""
        producers = [self.producers[source] for source in self.asked(spec)]
        return [one.name for one in producers if not one.each]

    def parsed(self, outputs: dict[str, Json]) -> dict[Type, Any]:
        """Return outputs of steps that are no `each` by their types, given by the steps' names."""
        found = [(self.steps[name], output) for name, output in outputs.items()]
        return {spec.result: spec.gives.model_validate(output) for spec, output in found}

    def load(self, conn: Connection, job_id: UUID, wanted: list[Type]) -> dict[Type, Any]:
        """Return outputs of earlier steps by the type that a step asks for."""
        specs = {self.producers[one].name: one for one in wanted if one in self.producers}
        found: dict[Type, Any] = {}
        for one in wanted:
            if one is self.input:
                found[one] = self.input.model_validate(running.load_input(conn, job_id))
            elif self.producers[one].each:
                found[one] = []
        if not specs:
            return found
        for row in running.load_outputs(conn, job_id, list(specs)):
            spec = self.steps[row.name]
            model = spec.gives.model_validate(row.output)
            if spec.each:
                found[specs[row.name]].append(model)
            else:
                found[specs[row.name]] = model
        return found

    def dependents(self, names: set[str]) -> list[NewStep]:
        """Return rows of the steps that use, at any remove, what the named ones give."""
        stale: set[str] = set()
        for spec in self.specs:
            if {self.producers[one].name for one in self.sources(spec)} & (names | stale):
                stale.add(spec.name)
        return [self.row(self.steps[name]) for name in stale]
