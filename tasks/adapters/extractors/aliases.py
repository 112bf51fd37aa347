"""Which names are one person's."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .lexicon import Lexicon, lexicon
from .names import Name


@dataclass(slots=True, eq=False)
class Cluster:
    """The names of one person, with what speaks for their gender."""

    names: Counter[Name] = field(default_factory=Counter)
    gender: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Return how often the person is named."""
        return sum(self.names.values())


@dataclass(slots=True, eq=False)
class _Full:
    """A person known by first name and surname."""

    cluster: Cluster
    firsts: set[str]
    last: str
    gender: str | None
    married: str | None
    noble: bool


class Clusterer:
    """Puts names together, the fullest first."""

    def __init__(self, names: dict[Name, Counter[str]]) -> None:
        self._names = names
        self._lists: Lexicon = lexicon()
        self._fulls: list[_Full] = []
        self._by_last: dict[str, list[_Full]] = defaultdict(list)
        self._titled: dict[tuple[str, str], Cluster] = {}
        self._single: dict[str, Cluster] = {}
        self.clusters: list[Cluster] = []

    def run(self) -> list[Cluster]:
        """Return the clusters of all names."""
        ranked = sorted(self._names, key=lambda n: (-self._names[n]["n"], n.key, n.words))
        full = [name for name in ranked if len(name.core) > 1]
        titled = [name for name in ranked if len(name.core) == 1 and name.title]
        single = [name for name in ranked if len(name.core) == 1 and not name.title]
        for name in full:
            self._put(name, self._for_full(name))
        for name in titled:
            self._put(name, self._for_titled(name))
        for name in single:
            self._put(name, self._for_single(name))
        return self.clusters

    def _new(self) -> Cluster:
        cluster = Cluster()
        self.clusters.append(cluster)
        return cluster

    def _put(self, name: Name, cluster: Cluster) -> None:
        evidence = self._names[name]
        cluster.names[name] += evidence["n"]
        cluster.evidence.update(evidence)
        by_title = self.title_gender(name)
        if by_title:
            cluster.gender[by_title] += 3 * evidence["n"]
        else:
            by_name = self._lists.gender(name.core[0])
            if by_name and not self._by_last.get(name.core[0]):
                cluster.gender[by_name] += evidence["n"]

    def title_gender(self, name: Name) -> str | None:
        """Return the gender that a title tells."""
        for title in name.title:
            if title in self._lists.of("titles", "he"):
                return "he"
            if title in self._lists.of("titles", "she"):
                return "she"
        return None

    def _married(self, name: Name) -> str | None:
        if any(title in self._lists.of("titles", "married") for title in name.title):
            return "married"
        if any(title in self._lists.of("titles", "unmarried") for title in name.title):
            return "unmarried"
        return None

    def _for_full(self, name: Name) -> Cluster:
        first, last = name.core[0], name.core[-1]
        gender = self.title_gender(name) or self._lists.gender(first)
        married = self._married(name)
        for full in self._by_last[last]:
            if self._same_full(full, first, gender, married):
                full.firsts.add(first)
                full.gender = full.gender or gender
                full.married = full.married or married
                return full.cluster
        noble = any(title in ("lady", "sir", "lord") for title in name.title)
        full = _Full(self._new(), {first}, last, gender, married, noble)
        self._fulls.append(full)
        self._by_last[last].append(full)
        return full.cluster

    def _same_full(self, full: _Full, first: str, gender: str | None, married: str | None) -> bool:
        """Say whether a first name with the same surname is the same person.

        Mrs. John Knightley is not John Knightley, though they share both names.
        """
        if not any(self._lists.same_first_name(first, known) for known in full.firsts):
            return False
        if gender and full.gender and gender != full.gender:
            return False
        by_husband = self._lists.gender(first) == "he"
        return not (by_husband and (married == "married") != (full.married == "married"))

    def _for_titled(self, name: Name) -> Cluster:
        word, gender, married = name.core[0], self.title_gender(name), self._married(name)
        found = self._full_for_title(word, gender, married) or self._first_for_title(word, gender)
        if found:
            return found.cluster
        kind = married or gender or "open"
        if kind == "open":
            for (_, other), cluster in self._titled.items():
                if other == word:
                    return cluster
        if (kind, word) not in self._titled:
            self._titled[kind, word] = self._new()
        return self._titled[kind, word]

    def _full_for_title(self, last: str, gender: str | None, married: str | None) -> _Full | None:
        """Return whom "Mr. Darcy" or "Miss Bennet" is, among those of the surname."""
        options = [
            full
            for full in self._by_last.get(last, [])
            if not (gender and full.gender and gender != full.gender)
            and full.cluster.count >= 2
            and not (married == "married" and full.married != "married")
        ]
        if len(options) == 1:
            return options[0]
        return self._eldest(options) if married == "unmarried" and options else None

    def _eldest(self, options: list[_Full]) -> _Full | None:
        """Return the sister who is plain "Miss Bennet": the others are "Miss" with a first name."""
        scored = []
        for full in options:
            named = sum(
                self._names.get(Name((), (f.capitalize(),)), Counter())["n"] for f in full.firsts
            )
            missed = sum(
                evidence["n"]
                for name, evidence in self._names.items()
                if "miss" in name.title and name.core[0] in full.firsts
            )
            scored.append((missed / (named + 1), -named, full))
        scored.sort(key=lambda item: item[:2])
        return scored[0][2]

    def _first_for_title(self, first: str, gender: str | None) -> _Full | None:
        """Return whom "Lady Catherine" or "Miss Jane" is."""
        options = [
            full
            for full in self._fulls
            if first in full.firsts
            and not (gender and full.gender and gender != full.gender)
            and full.cluster.count >= 2
        ]
        return max(options, key=lambda full: full.cluster.count) if options else None

    def _for_single(self, name: Name) -> Cluster:
        word = name.core[0]
        by_first = self._fulls_by_first(word, name)
        surnames = [full.cluster for full in self._by_last.get(word, [])]
        surnames += [cluster for (_, last), cluster in self._titled.items() if last == word]
        if by_first and all(full.last != word for full in by_first):
            return max(by_first, key=lambda full: full.cluster.count).cluster
        if surnames:
            men = [c for c in surnames if c.gender["he"] >= c.gender["she"]]
            return max(men or surnames, key=lambda cluster: cluster.count)
        for known, cluster in self._single.items():
            if self._lists.same_first_name(word, known):
                return cluster
        self._single[word] = self._new()
        return self._single[word]

    def _fulls_by_first(self, word: str, name: Name) -> list[_Full]:
        exact = [full for full in self._fulls if word in full.firsts]
        if exact:
            return exact
        count = self._names[name]["n"]
        by_nickname = []
        for full in self._fulls:
            known = [f for f in full.firsts if self._lists.same_first_name(word, f)]
            named = sum(self._names.get(Name((), (f.capitalize(),)), Counter())["n"] for f in known)
            if known and not full.noble and named >= 0.15 * count:
                by_nickname.append(full)
        return by_nickname
