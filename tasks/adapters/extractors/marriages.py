"""Who marries in the book: Miss Lucas is not heard of any more just when Mrs. Collins appears."""

from collections import Counter, defaultdict

from models.reading import ChapterScan

from .clusters import Cluster
from .lexicon import lexicon
from .names import Cutter, Name

OFTEN = 5  # mentions of either name; fewer tell nothing of when it is used
KNOWN = 3  # mentions of the husband before
RECENT = 3  # chapters before the wedding in which the bride is still called Miss
LATE_SHARE = 0.2  # of the mentions as Miss may come later: people remember

Chapters = dict[str, Counter[int]]  # the key of a name → mentions by chapter


def join_married(
    clusters: list[Cluster], scans: list[ChapterScan], cutter: Cutter
) -> list[Cluster]:
    """Join the clusters of a woman's two names where only one woman can be meant."""
    chapters = _count(scans, cutter)
    kept = list(clusters)
    for wife in clusters:
        surname = _married_surname(wife)
        if surname is None or wife.count < OFTEN:
            continue
        since = min(chapter for name in wife.names for chapter in chapters[name.key])
        known = sum(n for chapter, n in chapters[f"mr {surname}"].items() if chapter < since)
        brides = [c for c in kept if c is not wife and _is_bride(c, since, surname, chapters)]
        if known >= KNOWN and len(brides) == 1:
            brides[0].absorb(wife)
            kept.remove(wife)
    return kept


def _count(scans: list[ChapterScan], cutter: Cutter) -> Chapters:
    found: Chapters = defaultdict(Counter)
    for scan in scans:
        for form in scan.forms:
            for name, _, _ in cutter.cut(form):
                if name.title:
                    found[name.key][scan.chapter] += form.count
    return found


def _married_surname(cluster: Cluster) -> str | None:
    """Return the surname of somebody who is only ever called Mrs. with it."""
    married = lexicon().of("titles", "married") - {"lady"}
    words = {name.words for name in cluster.names}
    if len(words) != 1 or not all(
        name.title and name.title[0] in married for name in cluster.names
    ):
        return None
    (only,) = words
    return only[0].lower() if len(only) == 1 else None


def _is_bride(cluster: Cluster, since: int, surname: str, chapters: Chapters) -> bool:
    """Say whether a woman is called Miss until chapter `since`, and then hardly ever."""
    missed: Counter[int] = Counter()
    for name in cluster.names:
        if _is_unmarried(name) and name.core[-1] != surname:
            missed.update(chapters[name.key])
    total = missed.total()
    late = sum(n for chapter, n in missed.items() if chapter > since + 1)
    recent = any(since - RECENT <= chapter <= since for chapter in missed)
    recent = recent and min(missed) < since
    wedded = any(name.title and name.title[0] == "mrs." for name in cluster.names)
    return total >= OFTEN and late <= LATE_SHARE * total and recent and not wedded


def _is_unmarried(name: Name) -> bool:
    return any(title in lexicon().of("titles", "unmarried") for title in name.title)
