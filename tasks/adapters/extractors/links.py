"""Two names that one speech gives to the same person: "I am an Invisible Man," said the Voice."""

from .lexicon import lexicon
from .page import Page
from .runs import Run

_ARTICLES = frozenset({"a", "an", "the"})
MEMORY_TURNS = 2  # who introduced themself two turns ago is likely to go on doing so
GAP_PARAGRAPHS = 4


def find_links(page: Page, runs: list[Run]) -> list[tuple[str, str]]:
    """Return pairs of names, as printed, for one person."""
    said, introduced = _speakers(page, runs), _introduced(page, runs)
    found, before = [], dict[int, str]()
    turn = 0
    for para, speeches in enumerate(page.speeches):
        if not speeches:
            continue
        turn += 1
        name = introduced.get(para)
        if name is None:
            continue
        other = said.get(para) or before.get(turn - MEMORY_TURNS)
        if other and other != name:
            found.append((other, name))
        before[turn] = name
    return found


def _speakers(page: Page, runs: list[Run]) -> dict[int, str]:
    """Return who is said to speak, by paragraph."""
    strong = lexicon().of("speech", "strong")
    found: dict[int, str] = {}
    for run in runs:
        if page.quote[run.first] >= 0 or run.first == 0:
            continue
        articled = page.low[run.first - 1] == "the"
        at = run.first - 2 if articled else run.first - 1
        if at >= 0 and page.low[at] in strong:
            found.setdefault(page.para[run.first], " ".join(run.words))
    return found


def _introduced(page: Page, runs: list[Run]) -> dict[int, str]:
    """Return the first name that a speaker claims, by paragraph."""
    found: dict[int, str] = {}
    for run in runs:
        if page.quote[run.first] >= 0 and _is_claimed(page, run):
            found.setdefault(page.para[run.first], " ".join(run.words))
    return found


def _is_claimed(page: Page, run: Run) -> bool:
    """Say whether "I am", "I'm a" or "my name is" stands before a name in the same speech."""
    last = run.first - 1
    if last >= 0 and page.low[last] in _ARTICLES:
        last -= 1
    before = page.low[max(0, last - 2) : last + 1]
    if last < 1 or page.quote[last - 1] != page.quote[run.first] or run.possessive:
        return False
    return (
        before[-1:] == ["i'm"]
        or before[-2:] in (["i", "am"], ["i", "m"])
        or (before == ["my", "name", "is"])
    )
