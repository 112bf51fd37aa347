"""Which names are one person's."""

from collections import Counter, defaultdict

from .clusters import Cluster, Full, is_noble, surnamed
from .lexicon import Lexicon, lexicon
from .names import Name

FIRST_NAME_RATIO = (
    10  # "Mr. Weston" said more often, against "F. Weston Churchill", is no first name
)
YOUNGER_COUNT = 5  # "Mr. John Knightley" has to be said this often to set him apart


class Clusterer:
    """Puts names together, the fullest first."""

    def __init__(self, names: dict[Name, Counter[str]]) -> None:
        self._names = names
        self._lists: Lexicon = lexicon()
        self._fulls: list[Full] = []
        self._by_last: dict[str, list[Full]] = defaultdict(list)
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
        cluster.articled[name] += evidence["the"]
        cluster.evidence.update(evidence)
        by_title = self.title_gender(name) or self._role_gender(name)
        if by_title:
            cluster.gender[by_title] += 3 * evidence["n"]
        else:
            by_name = self._lists.gender(name.core[0])
            if by_name and not self._by_last.get(name.core[0]):
                cluster.gender[by_name] += evidence["n"]

    def _role_gender(self, name: Name) -> str | None:
        """Return the gender of "the Duchess", "the Footman"."""
        for gender in ("he", "she"):
            nouns = self._lists.of("titles", gender) | self._lists.of("names", f"roles_{gender}")
            if name.core[0] in nouns and not name.title:
                return gender
        return None

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
        full = Full(self._new(), {first}, last, gender, married, is_noble(name))
        self._fulls.append(full)
        self._by_last[last].append(full)
        return full.cluster

    def _same_full(self, full: Full, first: str, gender: str | None, married: str | None) -> bool:
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
        found = self._full_for_title(name, gender, married)
        if not found and name.title[-1] in self._lists.of("titles", "with_first"):
            found = self._first_for_title(name, gender)
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

    def _full_for_title(self, name: Name, gender: str | None, married: str | None) -> Full | None:
        """Return whom "Mr. Darcy" or "Miss Bennet" is, among those of the surname."""
        options = [
            full
            for full in self._by_last.get(name.core[0], [])
            if not (gender and full.gender and gender != full.gender)
            and (full.married == "married") == (married == "married" or is_noble(name))
            and not self._is_younger(full)
            and self._support(full) >= 2
        ]
        most = max((self._support(full) for full in options), default=0)
        options = [full for full in options if self._support(full) >= 0.1 * most]
        if len(options) == 1:
            return options[0]
        if married == "unmarried" and options:
            return self._eldest(options)
        if name.title[-1] in ("mr.", "mr", "mister", "mistah") and options:
            first, second = sorted(options, key=surnamed, reverse=True)[:2]
            return first if surnamed(first) >= 2 * surnamed(second) else None
        return None

    def _is_younger(self, full: Full) -> bool:
        """Say whether plain "Mr. Knightley" is somebody else: both Mr. John Knightley and his wife,
        Mrs. John Knightley, are called by his first name to tell them from the head of the family.
        """
        titled = sum(n for name, n in full.cluster.names.items() if name.title)
        return (
            full.married is None
            and titled >= YOUNGER_COUNT
            and any(
                other.married == "married"
                and other.last == full.last
                and other.firsts & full.firsts
                for other in self._fulls
            )
        )

    def _support(self, full: Full) -> int:
        """Return how often somebody goes by the full name or the first name."""
        return full.cluster.count + sum(self._alone(first) for first in full.firsts)

    def _alone(self, first: str) -> int:
        """Return how often a first name stands alone."""
        return self._names.get(Name((), (first.capitalize(),)), Counter[str]())["n"]

    def _eldest(self, options: list[Full]) -> Full:
        """Return the sister who is plain "Miss Bennet": the others are "Miss" with a first name."""

        def rank(full: Full) -> tuple[float, int]:
            missed = sum(
                evidence["n"]
                for name, evidence in self._names.items()
                if "miss" in name.title and name.core[0] in full.firsts
            )
            return missed / self._support(full), -self._support(full)

        return min(options, key=rank)

    def _first_for_title(self, name: Name, gender: str | None) -> Full | None:
        """Return whom "Lady Catherine" or "Miss Lizzy" is."""
        first, count = name.core[0], self._names[name]["n"]
        fitting = [
            full
            for full in self._fulls
            if not (gender and full.gender and gender != full.gender)
            and (full.cluster.count >= 2 or self._lists.known(first))
            and count <= FIRST_NAME_RATIO * full.cluster.count
        ]
        exact = [full for full in fitting if first in full.firsts]
        similar = [
            full
            for full in fitting
            if any(self._lists.same_first_name(first, known) for known in full.firsts)
        ]
        options = exact or similar
        return max(options, key=lambda full: full.cluster.count) if options else None

    def _for_single(self, name: Name) -> Cluster:
        word = name.core[0]
        by_first = [full for full in self._fulls_by_first(word, name) if full.last != word]
        surnames = list(self._by_last.get(word, []))
        titled = [cluster for (_, last), cluster in self._titled.items() if last == word]
        first = max(by_first, key=lambda full: full.cluster.count, default=None)
        by_title = sum(n for cluster in titled for k, n in cluster.names.items() if k.title)
        if first and by_title <= self._by_first_name(first):
            return first.cluster
        if surnames or titled:
            return self._by_surname(surnames, titled, word)
        if word in self._lists.of("titles", "he") | self._lists.of("titles", "she"):
            return self._by_rank(word) or self._single_cluster(word)
        return self._single_cluster(word)

    @staticmethod
    def _by_first_name(full: Full) -> int:
        """Return how often somebody goes by a first name, with or without the surname."""
        return sum(n for k, n in full.cluster.names.items() if k.core[0] in full.firsts)

    def _by_surname(self, fulls: list[Full], titled: list[Cluster], word: str) -> Cluster:
        """Return who goes by a surname alone: a man, if there is one, and the best known."""
        options = [full.cluster for full in fulls] + titled
        men = [c for c in options if c.gender["he"] >= c.gender["she"]]

        def known(cluster: Cluster) -> int:
            return sum(n for name, n in cluster.names.items() if name.core[-1] == word)

        return max(men or options, key=known)

    def _by_rank(self, title: str) -> Cluster | None:
        """Return who is "the Colonel", where just one colonel has a name."""
        ranked = [c for c in self.clusters if any(title in name.title for name in c.names)]
        return ranked[0] if len(ranked) == 1 else None

    def _single_cluster(self, word: str) -> Cluster:
        for known, cluster in self._single.items():
            if self._lists.same_first_name(word, known):
                return cluster
        self._single[word] = self._new()
        return self._single[word]

    def _fulls_by_first(self, word: str, name: Name) -> list[Full]:
        gender = self._lists.gender(word)
        agreeing = [f for f in self._fulls if not (gender and f.gender and gender != f.gender)]
        exact = [full for full in agreeing if word in full.firsts]
        if exact:
            return exact
        count = self._names[name]["n"]
        return [
            full
            for full in agreeing
            if not full.noble
            and any(self._lists.same_first_name(word, known) for known in full.firsts)
            and sum(self._alone(known) for known in full.firsts) >= 0.15 * count
        ]
