"""What goes wrong and when, drawn from a seed: the same seed plans the same faults.

When a fault hits, what the processes are just doing is up to the machine; so a seed replays the
plan, and not every interleaving.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WORKERS = ("io-1", "io-2", "cpu-1", "stream-1")
BEATS = ("beat-1", "beat-2", "beat-3")
WEB = "web"
PROCESSES = (WEB, *WORKERS, *BEATS)

EVERYBODY = ("client", "workers")  # who share one link to a server

MEAN_GAP_S = 2.0  # between two faults
LEAST_GAP_S = 0.3


def links() -> list[str]:
    """Return the name of every connection that a proxy sits on, as `<client>-<server>`."""
    return [
        "client-web",
        *(f"{name}-{server}" for name in (WEB, *WORKERS) for server in ("postgres", "redis")),
        *(f"{name}-postgres" for name in BEATS),
        *(f"{name}-models" for name in WORKERS if not name.startswith("cpu")),
        "workers-hooks",
    ]


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to break something: how often in a round, at what, and for how long."""

    times: int
    targets: Sequence[str]
    lasts_s: tuple[float, float] = (0.0, 0.0)


def kinds(names: Sequence[str] = PROCESSES) -> Mapping[str, Kind]:
    """Return all kinds of faults for a site of these processes."""
    workers = [name for name in WORKERS if name in names]
    beats = [name for name in BEATS if name in names]
    found = [link for link in links() if link.rpartition("-")[0] in (*names, *EVERYBODY)]
    return {
        "kill worker": Kind(2, workers),
        "kill child": Kind(1, [name for name in workers if name.startswith("cpu")]),
        "kill api": Kind(1, [WEB]),
        "kill beat": Kind(1, beats),
        "freeze process": Kind(1, [WEB, *workers], (1.0, 7.0)),
        "restart postgres": Kind(1, ["postgres"], (0.1, 2.0)),
        "freeze postgres": Kind(1, ["postgres"], (0.2, 2.0)),
        "flush redis": Kind(1, ["redis"]),
        "freeze redis": Kind(1, ["redis"], (0.5, 4.0)),
        "restart redis": Kind(1, ["redis"], (0.1, 3.0)),
        "latency": Kind(2, found, (1.0, 5.0)),
        "cut": Kind(2, found, (0.2, 4.0)),
        "reset": Kind(3, found),
        "slow close": Kind(1, found, (0.5, 4.0)),
        "half open": Kind(2, found, (0.5, 6.0)),
        "ghost": Kind(1, found, (0.5, 6.0)),
    }


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, so many seconds after the beginning."""

    at_s: float
    kind: str
    target: str
    lasts_s: float

    def __str__(self) -> str:
        """Say what happens, as the log shows it."""
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.at_s:7.1f} s  {self.kind} · {self.target}{lasts}"


def _drawn(seed: int, names: Sequence[str]) -> Iterator[Fault]:
    """Yield faults without end: each round has every kind, in an order of its own."""
    dice = random.Random(seed)
    at_s = 0.0
    known = kinds(names)
    deck = [kind for kind, one in known.items() for _ in range(one.times) if one.targets]
    while True:
        dice.shuffle(deck)
        for kind in deck:
            at_s += max(LEAST_GAP_S, dice.expovariate(1 / MEAN_GAP_S))
            target = dice.choice(list(known[kind].targets))
            lasts_s = round(dice.uniform(*known[kind].lasts_s), 2)
            yield Fault(round(at_s, 2), kind, target, lasts_s)


def plan(
    seed: int, *, lasts_s: float, faults: int | None = None, names: Sequence[str] = PROCESSES
) -> list[Fault]:
    """Return the faults of so many seconds; with `faults`, that many, however long it takes."""
    found: list[Fault] = []
    for fault in _drawn(seed, names):
        if len(found) == faults or (faults is None and fault.at_s > lasts_s):
            break
        found.append(fault)
    return found
