"""Where the members of the cast are named in a chapter."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from models.reading import CastList, Gender

from .families import Families, find_families
from .names import normal
from .page import Page
from .runs import Run, find_runs


class Named(NamedTuple):
    """Words `first` to `last` (exclusive) of a page name a member of the cast."""

    first: int
    last: int
    who: int
    possessive: bool
    role: bool


@dataclass(frozen=True, slots=True)
class KnownCast:
    """A cast, ready for looking things up."""

    surfaces: dict[str, int]
    blocked: frozenset[str]
    ambiguous: frozenset[str]
    roles: dict[str, int]  # noun → member id
    gender: dict[int, Gender]
    name: dict[int, str]
    weight: dict[int, int]  # how often a member is named in the book
    narrator: int | None
    families: Families
    longest: int  # words of the longest surface


@lru_cache(maxsize=4)
def _known(serialised: str) -> KnownCast:
    cast = CastList.model_validate_json(serialised)
    roles = {k[4:]: v for k, v in cast.surfaces.items() if k.startswith("the ")}
    surfaces = {k: v for k, v in cast.surfaces.items() if not k.startswith("the ")}
    lengths = [surface.count(" ") + 1 for surface in [*surfaces, *cast.blocked]]
    narrators = [m.id for m in cast.members if m.is_narrator]
    return KnownCast(
        surfaces=surfaces,
        blocked=frozenset(cast.blocked),
        ambiguous=frozenset(cast.ambiguous),
        roles=roles,
        gender={m.id: m.gender for m in cast.members},
        name={m.id: m.name for m in cast.members},
        weight={m.id: sum(m.aliases.values()) for m in cast.members},
        narrator=narrators[0] if narrators and cast.narration == "first" else None,
        families=find_families(cast.members),
        longest=max(lengths, default=1),
    )


def know(cast: CastList) -> KnownCast:
    """Return a cast ready for use, made once for all chapters of a book."""
    return _known(cast.model_dump_json())


def find_named(page: Page, cast: KnownCast) -> list[Named]:
    """Return where members are named, in order; the longest name at a place wins."""
    found: list[Named] = []
    for run in find_runs(page):
        i = 0
        while i < len(run.words):
            length, who = _longest(run, i, cast)
            last = run.first + i + length
            if who is not None and not _opens_only(page, run, i, length, cast):
                possessive = run.possessive and last == run.last
                found.append(Named(run.first + i, last, who, possessive, False))
            i += length
    found += _find_roles(page, cast)
    return sorted(found)


def _longest(run: Run, i: int, cast: KnownCast) -> tuple[int, int | None]:
    """Return the length of the longest known surface at word `i`, and whose it is."""
    for length in range(min(cast.longest, len(run.words) - i), 0, -1):
        surface = normal(run.words[i : i + length])
        if surface in cast.surfaces:
            return length, cast.surfaces[surface]
        if surface in cast.blocked:
            return length, None
    return 1, None


def _opens_only(page: Page, run: Run, i: int, length: int, cast: KnownCast) -> bool:
    """Say whether an ordinary word has a capital letter because it opens a sentence."""
    first = run.first + i
    return length == 1 and page.initial[first] and normal(run.words[i : i + 1]) in cast.ambiguous


def _find_roles(page: Page, cast: KnownCast) -> list[Named]:
    if not cast.roles:
        return []
    found = []
    for i in range(1, len(page)):
        noun = page.low[i].removesuffix("'s")
        if noun in cast.roles and page.low[i - 1] == "the" and page.word[i][0].islower():
            found.append(Named(i - 1, i + 1, cast.roles[noun], noun != page.low[i], True))
    return found
