"""The first look at a chapter: evidence only, no decisions."""

from collections import Counter, defaultdict

from models.reading import Chapter, ChapterScan, RoleEvidence

from .lexicon import lexicon
from .links import find_links
from .page import Page, read_page
from .quotes import quote_style
from .runs import PRONOUN_GENDER, PRONOUN_REACH, Run, find_runs, gather_forms, is_capitalised

_ARTICLES = frozenset({"the"})
ROLE_MODIFIERS = 0  # "the tall stranger" is left to the attribution of speech


def scan_chapter(text: str, chapter: Chapter) -> ChapterScan:
    """Gather the evidence about names in one chapter."""
    style = quote_style(text)
    page = read_page(text, chapter, style)
    runs = find_runs(page)
    narrated = [i for i in range(len(page)) if page.quote[i] < 0 and page.word[i][0].isalpha()]
    return ChapterScan(
        chapter=chapter.index,
        tokens=len(page),
        narrated_words=len(narrated),
        narrated_i=sum(page.word[i] == "I" for i in narrated),
        quote_style=style,
        lowercase=_lowercase(page, runs),
        forms=gather_forms(page, runs),
        roles=_roles(page),
        introductions=_introductions(page, runs),
        links=find_links(page, runs),
    )


def _lowercase(page: Page, runs: list[Run]) -> dict[str, int]:
    """Count in lower case the words that are also capitalised here, or may be names."""
    capitalised = {word.lower() for run in runs for word in run.words}
    known = lexicon().gender_counts
    counts = Counter(word for word in page.word if word[0].islower())
    counts = Counter({w: n for w, n in counts.items() if w in capitalised or w in known})
    return dict(sorted(counts.items()))


def _roles(page: Page) -> list[RoleEvidence]:
    """Count "the stranger" and such in narration, and how often they speak."""
    lists = lexicon()
    nouns = (
        lists.of("names", "roles_he")
        | lists.of("names", "roles_she")
        | lists.of("names", "roles_open")
    )
    strong = lists.of("speech", "strong")
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for i in range(1, len(page) - 1):
        noun = page.low[i]
        if noun not in nouns or page.low[i - 1] not in _ARTICLES or page.quote[i] >= 0:
            continue
        evidence = found[noun]
        evidence["n"] += 1
        evidence["said"] += page.low[i - 2] in strong or page.low[i + 1] in strong
        gender = _pronoun_after(page, i)
        if gender:
            evidence[gender] += 1
    return [
        RoleEvidence(noun=noun, count=e["n"], speech=e["said"], he=e["he"], she=e["she"])
        for noun, e in sorted(found.items())
    ]


def _pronoun_after(page: Page, i: int) -> str | None:
    for j in range(i + 1, min(i + PRONOUN_REACH, len(page))):
        if page.para[j] != page.para[i] or is_capitalised(page.word[j]):
            return None
        if page.quote[j] < 0 and page.low[j] in PRONOUN_GENDER:
            return PRONOUN_GENDER[page.low[j]]
    return None


def _introductions(page: Page, runs: list[Run]) -> dict[str, int]:
    """Count the names a narrator gives for themself outside of speech."""
    counts: Counter[str] = Counter()
    for run in runs:
        before = page.low[max(0, run.first - 3) : run.first]
        if page.quote[run.first] < 0 and (
            before == ["my", "name", "is"] or before[1:] == ["i", ","]
        ):
            counts[" ".join(run.words)] += 1
    return dict(counts)
