"""A person as a cluster of names."""

from collections import Counter
from dataclasses import dataclass, field

from .names import Name


@dataclass(slots=True, eq=False)
class Cluster:
    """The names of one person, with what speaks for their gender."""

    names: Counter[Name] = field(default_factory=Counter)
    articled: Counter[Name] = field(default_factory=Counter)  # of these, after "the"
    gender: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)

    @property
    def is_role(self) -> bool:
        """Say whether the person is mostly called what they are: the Voice, the Hatter."""
        return sum(self.articled.values()) > self.count / 2

    def absorb(self, other: "Cluster") -> None:
        """Take over another cluster's names and evidence."""
        for mine, theirs in (
            (self.names, other.names),
            (self.articled, other.articled),
            (self.gender, other.gender),
            (self.evidence, other.evidence),
        ):
            mine.update(theirs)  # type: ignore[arg-type]

    @property
    def count(self) -> int:
        """Return how often the person is named."""
        return sum(self.names.values())


@dataclass(slots=True, eq=False)
class Full:
    """A person known by first name and surname."""

    cluster: Cluster
    firsts: set[str]
    last: str
    gender: str | None
    married: str | None
    noble: bool


def is_noble(name: Name) -> bool:
    """Say whether a name has a title of the nobility, which a wife does not take from Mr."""
    return any(title in ("lady", "sir", "lord") for title in name.title)


def surnamed(full: Full) -> int:
    """Return how often somebody goes by the full name."""
    return sum(n for name, n in full.cluster.names.items() if len(name.core) > 1)
