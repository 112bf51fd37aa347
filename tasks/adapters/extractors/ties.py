"""What ties two members of the cast in a chapter."""

from collections import Counter, defaultdict
from itertools import combinations, pairwise

from models.reading import Quote, Tie

from .lexicon import lexicon
from .mentions import Named
from .page import Page
from .pronouns import Meant

TURN_GAP_CHARS = 600  # quotes further apart are not an answer to each other
KIN_REACH = 3  # words between "his" and "sister", and between "sister" and "Jane"
CROWD = 8  # a paragraph that names more people than this ties nobody


def find_ties(
    page: Page, chapter: int, named: list[Named], meant: list[Meant], quotes: list[Quote]
) -> list[Tie]:
    """Count what ties each pair of a chapter's people."""
    together = _together(page, named)
    turns = _turns(quotes)
    address = Counter(
        _pair(q.speaker, who)
        for q in quotes
        for who in q.addressees
        if q.speaker is not None and q.speaker != who
    )
    kin = _kin(page, named, meant)
    return [
        Tie(
            a=a,
            b=b,
            co_paragraph=together[a, b],
            turns=turns[a, b],
            address=address[a, b],
            kin=dict(kin.get((a, b), {})),
            chapters=[chapter],
        )
        for a, b in sorted(together.keys() | turns.keys() | address.keys() | kin.keys())
    ]


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _together(page: Page, named: list[Named]) -> Counter[tuple[int, int]]:
    by_paragraph: dict[int, set[int]] = defaultdict(set)
    for mention in named:
        by_paragraph[page.para[mention.first]].add(mention.who)
    counts: Counter[tuple[int, int]] = Counter()
    for people in by_paragraph.values():
        if len(people) <= CROWD:
            counts.update(combinations(sorted(people), 2))
    return counts


def _turns(quotes: list[Quote]) -> Counter[tuple[int, int]]:
    counts: Counter[tuple[int, int]] = Counter()
    for one, other in pairwise(quotes):
        near = other.start - one.end < TURN_GAP_CHARS
        if one.speaker is None or other.speaker is None or one.speaker == other.speaker:
            continue
        if near:
            counts[_pair(one.speaker, other.speaker)] += 1
    return counts


def _kin(page: Page, named: list[Named], meant: list[Meant]) -> dict[tuple[int, int], Counter[str]]:
    """Read "Jane's sister Elizabeth", "her friend Charlotte" as relations."""
    relatives = lexicon().of("names", "relatives")
    at = {mention.first: mention.who for mention in named}
    owners = {mention.last: mention.who for mention in named if mention.possessive}
    owners |= {m.at + 1: m.who for m in meant if page.low[m.at] in ("his", "her", "my")}
    found: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for after, owner in owners.items():
        for i in range(after, min(after + KIN_REACH, len(page))):
            if page.low[i] not in relatives:
                continue
            for j in range(i + 1, min(i + 1 + KIN_REACH, len(page))):
                if j in at and at[j] != owner:
                    found[_pair(owner, at[j])][page.low[i]] += 1
                    break
                if page.word[j][0].isalpha() or page.word[j] != ",":
                    break
            break
    return found
