"""One reading against one annotated novel, as counts that add up over novels.

A character found is taken for the person under whose names they are mentioned most; a narrator
without a name, for whoever speaks most of their quotations. Several may be one person: the strict
figure lets only one of them count, chosen over the whole novel for the most quotations.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from models.reading import Character, Quote, Reading
from tasks.adapters.extractors.names import normal

from .corpora import Novel, Quotation

Cluster = int | str  # a character found; or the noun for somebody outside the cast: "waiter"
OFTEN = 10  # mentions; whoever is listed with as many should be somebody


@dataclass(slots=True)
class Tally:
    """Right ones of all, by what is counted."""

    right: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    all: Counter[str] = field(default_factory=Counter)

    def add(self, key: str, right: float, all_: int = 1) -> None:
        """Count something."""
        self.right[key] += right
        self.all[key] += all_

    def update(self, other: "Tally") -> None:
        """Add another tally's counts."""
        for key, count in other.all.items():
            self.add(key, other.right[key], count)

    def rate(self, key: str) -> float | None:
        """Return right over all, None where there was nothing to count."""
        return self.right[key] / self.all[key] if self.all[key] else None


def score(novel: Novel, reading: Reading) -> Tally:
    """Count what a reading got right."""
    tally = Tally()
    found = match_quotes(novel.quotations, reading.quotes)
    persons = match_people(novel, reading, found)
    _score_quotes(tally, novel, found, persons)
    _score_cast(tally, novel, reading.characters, persons)
    return tally


def match_quotes(wanted: list[Quotation], found: list[Quote]) -> list[Quote | None]:
    """Return for each annotated quotation the found one that shares most characters with it."""
    ordered = sorted(found, key=lambda quote: quote.start)
    by_start: dict[int, list[int]] = defaultdict(list)
    for number, quote in enumerate(ordered):
        for block in range(quote.start // 1000, quote.end // 1000 + 1):
            by_start[block].append(number)
    return [_most_shared(quotation, ordered, by_start) for quotation in wanted]


def _most_shared(
    wanted: Quotation, found: list[Quote], blocks: dict[int, list[int]]
) -> Quote | None:
    shared: Counter[int] = Counter()
    for start, end in wanted.spans:
        near = {n for b in range(start // 1000, end // 1000 + 1) for n in blocks.get(b, [])}
        for number in sorted(near):
            common = min(end, found[number].end) - max(start, found[number].start)
            if common > 0:
                shared[number] += common
    return found[shared.most_common(1)[0][0]] if shared else None


def match_people(novel: Novel, reading: Reading, found: list[Quote | None]) -> dict[Cluster, str]:
    """Return who each found character is; those who are nobody listed are absent."""
    owners: dict[str, set[str]] = defaultdict(set)
    for person in novel.people:
        for alias in person.aliases:
            owners[_plain(alias)].add(person.name)
    persons: dict[Cluster, str] = {}
    for character in reading.characters:
        votes: Counter[str] = Counter()
        for alias, count in character.aliases.items():
            for owner in sorted(owners.get(_plain(alias), ())):
                votes[owner] += count
        if not votes and character.is_narrator:
            votes.update(_spoken(novel, found, character.id))
        if votes:
            persons[character.id] = max(votes, key=lambda name: (votes[name], name))
    return persons | _match_nouns(novel, found)


def _match_nouns(novel: Novel, found: list[Quote | None]) -> dict[Cluster, str]:
    """Return whom "waiter" stands for where just one person is called "the old waiter"."""
    nouns = {q.speaker_name for q in found if q is not None and q.speaker is None}
    persons: dict[Cluster, str] = {}
    for noun in sorted(noun for noun in nouns if noun):
        fitting = {
            p.name for p in novel.people for a in p.aliases if _plain(a).split()[-1:] == [noun]
        }
        if len(fitting) == 1:
            persons[noun] = fitting.pop()
    return persons


def cluster_of(quote: Quote | None) -> Cluster | None:
    """Return who is said to speak a quotation."""
    if quote is None:
        return None
    return quote.speaker if quote.speaker is not None else quote.speaker_name


def _plain(alias: str) -> str:
    return normal(alias.split()).removeprefix("the ")


def _spoken(novel: Novel, found: list[Quote | None], speaker: int) -> Iterable[str]:
    pairs = zip(novel.quotations, found, strict=True)
    return [q.speaker for q, f in pairs if f is not None and f.speaker == speaker]


def _score_quotes(
    tally: Tally, novel: Novel, found: list[Quote | None], persons: dict[Cluster, str]
) -> None:
    clusters = [cluster_of(quote) for quote in found]
    gold = [quotation.speaker for quotation in novel.quotations]
    only = assign(zip(clusters, gold, strict=True))
    for quotation, quote, cluster in zip(novel.quotations, found, clusters, strict=True):
        who = persons.get(cluster) if cluster is not None else None
        kind = quotation.kind or (quote.type if quote is not None else "")
        right = who == quotation.speaker
        tally.add("speaker", right)
        if kind:
            tally.add(kind, right)
        tally.add("strict", cluster is not None and only.get(cluster) == quotation.speaker)
        tally.add("found", quote is not None)
        if quotation.addressees and quote is not None and right:
            named = {persons.get(one) for one in quote.addressees}
            tally.add("addressee", bool(named & set(quotation.addressees)))
    precision, recall = b_cubed(clusters, gold)
    tally.add("b3_precision", precision, len(gold))
    tally.add("b3_recall", recall, len(gold))


def assign(pairs: Iterable[tuple[Cluster | None, str]]) -> dict[Cluster, str]:
    """Return one person per cluster and one cluster per person: the most quotations first."""
    shared = Counter((c, g) for c, g in pairs if c is not None)
    chosen: dict[Cluster, str] = {}
    taken: set[str] = set()
    for (cluster, name), _ in sorted(shared.items(), key=lambda item: (-item[1], repr(item[0]))):
        if cluster not in chosen and name not in taken:
            chosen[cluster] = name
            taken.add(name)
    return chosen


def b_cubed(clusters: list[Cluster | None], gold: list[str]) -> tuple[float, float]:
    """Return the sums over all items of B-cubed precision and recall (Bagga and Baldwin, 1998).

    An item without a cluster is one of its own.
    """
    labels = [("x", i) if c is None else ("c", c) for i, c in enumerate(clusters)]
    ours, theirs = Counter(labels), Counter(gold)
    both = Counter(zip(labels, gold, strict=True))
    precision = sum(n * n / ours[label] for (label, _), n in both.items())
    recall = sum(n * n / theirs[name] for (_, name), n in both.items())
    return precision, recall


def _score_cast(
    tally: Tally, novel: Novel, characters: list[Character], persons: dict[Cluster, str]
) -> None:
    """Count people found, characters per person, listed characters who are somebody, genders."""
    per_person = Counter(persons.values())
    for person in novel.people:
        if person.important:
            tally.add("cast", per_person[person.name] > 0)
            if per_person[person.name]:
                tally.add("clusters", per_person[person.name])
    genders = {person.name: person.gender for person in novel.people}
    for character in characters:
        if character.mentions >= OFTEN:
            tally.add("list", character.id in persons)
        gender = genders.get(persons.get(character.id, ""))
        if gender and character.gender != "unknown":
            tally.add("gender", character.gender == gender)
        if gender:
            tally.add("gender_told", character.gender != "unknown")
