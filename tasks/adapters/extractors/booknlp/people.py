"""Which of BookNLP's clusters are one person: its clusters, put together by our own aliases.

BookNLP splits people up (989 "characters" in Emma). The built-in extractor has already told which
names of the book belong together, so each cluster votes with its names for one of that cast; those
that name nobody we know, but often enough, are people of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from models.reading import CastList, CastMember, Gender
from tasks.adapters.extractors.names import normal

from .output import Output, Person

NARRATOR = 0  # id of whoever says "I" outside of quotations
OWN_COUNT = 10  # mentions of somebody the built-in cast does not know; fewer is mostly noise
SURE = 0.6  # probability of a pronoun that tells a gender, as for the built-in cast
_GENDERS: tuple[Gender, ...] = ("he", "she", "they")


def merge_people(output: Output, known: CastList) -> tuple[CastList, dict[int, int]]:
    """Return the cast that BookNLP found, under our names, and who of it each cluster is.

    Names, aliases and gender are the built-in cast's; where that knows no gender, and for people
    it does not know, BookNLP's. Clusters without a name stay out, as does who is never mentioned.
    """
    member_of = {one.id: who for one in output.people if (who := _vote(one, known)) is not None}
    narrator = next((one.id for one in known.members if one.is_narrator), None)
    if narrator is not None and any(one.id == NARRATOR for one in output.people):
        member_of[NARRATOR] = narrator
    strangers = _strangers([p for p in output.people if p.id not in member_of], known)
    free = max((one.id for one in known.members), default=0) + 1
    for number, same in enumerate(strangers.values(), start=free):
        member_of.update({one.id: number for one in same})
    clusters: dict[int, list[Person]] = defaultdict(list)
    for one in output.people:
        if one.id in member_of:
            clusters[member_of[one.id]].append(one)
    members = [_known(one, clusters[one.id]) for one in known.members if one.id in clusters]
    members += [
        _stranger(number, same) for number, same in enumerate(strangers.values(), start=free)
    ]
    kept = {name: who for name, who in known.surfaces.items() if who in clusters}
    return known.model_copy(update={"members": members, "surfaces": kept}), member_of


def _vote(one: Person, known: CastList) -> int | None:
    """Return the member whom most of a cluster's names name."""
    votes = Counter[int]()
    for name, count in one.proper.items():
        who = _named(name.split(), known)
        if who is not None:
            votes[who] += count
    if not votes:
        roles = {member.name: member.id for member in known.members if member.role}
        for name, count in one.common.items():
            if name.lower() in roles:
                votes[roles[name.lower()]] += count
    return max(votes, key=lambda who: (votes[who], -who), default=None)


def _named(words: list[str], known: CastList) -> int | None:
    """Return whom a phrase names: its longest part that is a name, "dear Miss Woodhouse"."""
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length, -1, -1):
            who = known.surfaces.get(normal(words[start : start + length]))
            if who is not None:
                return who
    return None


def _strangers(people: Iterable[Person], known: CastList) -> dict[str, list[Person]]:
    """Return people unknown to the built-in cast by their usual names, the most mentioned first."""
    found: dict[str, list[Person]] = defaultdict(list)
    for one in people:
        name = normal(max(one.proper, key=lambda n: one.proper[n]).split()) if one.proper else ""
        family = name.startswith("the ")  # "the Coles"; "the Queen" the built-in cast knows
        if name and not family and name not in known.blocked:
            found[name].append(one)
    often = {
        name: same
        for name, same in found.items()
        if sum(sum(one.proper.values()) for one in same) >= OWN_COUNT
        and _gender(same)[0] != "unknown"  # places taken for persons have none
    }
    return dict(sorted(often.items(), key=lambda item: -sum(one.mentions for one in item[1])))


def _known(member: CastMember, clusters: list[Person]) -> CastMember:
    if member.gender != "unknown":
        return member
    gender, pronouns = _gender(clusters)
    return member.model_copy(update={"gender": gender, "pronouns": pronouns or member.pronouns})


def _stranger(number: int, clusters: list[Person]) -> CastMember:
    names = Counter[str]()
    for one in clusters:
        names.update(one.proper)
    gender, pronouns = _gender(clusters)
    return CastMember(
        id=number,
        name=names.most_common(1)[0][0],
        aliases=dict(names.most_common()),
        gender=gender,
        pronouns=pronouns,
    )


def _gender(clusters: list[Person]) -> tuple[Gender, dict[str, float]]:
    """Average BookNLP's pronouns over the clusters of a person, weighted by their mentions."""
    told = [one for one in clusters if one.pronouns]
    total = sum(one.mentions for one in told)
    if not total:
        return "unknown", {}
    shares: dict[str, float] = {
        kind: round(sum(one.mentions * one.pronouns.get(kind, 0.0) for one in told) / total, 3)
        for kind in _GENDERS
    }
    best = max(_GENDERS, key=lambda kind: shares[kind])
    return (best if shares[best] > SURE else "unknown"), shares
