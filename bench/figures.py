"""What a benchmark reports: one figure beside what it is compared with, and whether it will do."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table in `bench/RESULTS.md`."""

    name: str
    ours: float
    unit: str
    other: float | None = None
    other_name: str = ""
    ratio: float | None = None  # ours / other
    target: str = ""
    met: bool | None = None  # None: nothing was aimed at
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the figure as a dictionary."""
        return asdict(self)


def compared(
    name: str,
    ours: float,
    unit: str,
    other: float,
    other_name: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    note: str = "",
) -> Figure:
    """Return a figure beside another of the same run, with a bound on their ratio."""
    ratio = ours / other
    target, met = "", None
    if at_least is not None:
        target, met = f"≥ {at_least:g} times", ratio >= at_least
    if at_most is not None:
        target, met = f"≤ {at_most:g} times", ratio <= at_most
    return Figure(name, ours, unit, other, other_name, ratio, target, met, note)


def bounded(
    name: str, ours: float, unit: str, *, at_most: float | None = None, note: str = ""
) -> Figure:
    """Return a figure that stands alone, perhaps with an upper bound."""
    if at_most is None:
        return Figure(name, ours, unit, note=note)
    return Figure(name, ours, unit, target=f"≤ {at_most:g} {unit}", met=ours <= at_most, note=note)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share (0..1) of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)
