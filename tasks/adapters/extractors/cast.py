"""The cast of a book, merged from the scans of its chapters."""

from collections import Counter
from collections.abc import Collection

from models.reading import CastList, CastMember, ChapterScan, Gender, Narration, QuoteStyle

from .aliases import Clusterer
from .clusters import Cluster
from .lexicon import lexicon
from .marriages import join_married
from .names import Cutter, Name, collect_names, normal
from .offices import find_bearer
from .persons import find_persons

FIRST_PERSON_SHARE = 0.008  # of the narrated words are "I", where somebody tells their own story
NARRATOR_QUOTED = 0.75  # a narrator's own name stands in what others say
PROPER_SHARE = 0.05  # of the mentions by a proper name, for somebody to be listed under it
ROLE_SPEECH = 3  # "the stranger" has to speak this often to be a character
ROLE_COUNT = 8
LOOSE_SHARE = 0.3  # "the boy" has to be named this often, against the best-known name
SURE_PRONOUNS = 8
TITLE_WEIGHT = 0.7  # of a title or first name, against one of a pronoun that follows


def cast_book(scans: list[ChapterScan]) -> CastList:
    """Merge the scans into the cast."""
    cutter = Cutter(scans)
    names = collect_names(scans, cutter)
    persons = find_persons(names)
    clusters = Clusterer({name: names[name] for name in persons}).run()
    clusters = _join_linked(clusters, [link for scan in scans for link in scan.links])
    clusters = join_married(clusters, scans, cutter)
    clusters.sort(key=lambda c: (-c.count, _best_name(c).key))
    narration = _narration(scans)
    narrator = _narrator(clusters, scans) if narration == "first" else None
    offices = _offices(scans, clusters)
    members = _members(clusters, narration, narrator)
    members += _roles(scans, len(clusters) + 1, clusters, offices)
    surfaces = _surfaces(clusters, members, narrator)
    surfaces |= {f"the {noun}": surfaces[_best_name(who).key] for noun, who in offices.items()}
    return CastList(
        members=members,
        surfaces=dict(sorted(surfaces.items())),
        blocked=_blocked(names, persons),
        ambiguous=sorted(_ambiguous(persons, cutter)),
        narration=narration,
        quote_style=_majority([scan.quote_style for scan in scans]),
    )


def _majority(styles: list[QuoteStyle]) -> QuoteStyle:
    return Counter(styles).most_common(1)[0][0] if styles else "none"


def _narration(scans: list[ChapterScan]) -> Narration:
    words = sum(scan.narrated_words for scan in scans)
    mine = sum(scan.narrated_i for scan in scans)
    return "first" if words and mine / words > FIRST_PERSON_SHARE else "third"


def _narrator(clusters: list[Cluster], scans: list[ChapterScan]) -> Cluster | None:
    """Return who tells the story: called by name, but hardly ever named in the narration."""
    introduced = Counter[str]()
    for scan in scans:
        introduced.update({key.lower(): value for key, value in scan.introductions.items()})
    options = []
    for cluster in clusters:
        quoted = cluster.evidence["quoted"] / cluster.count
        said = sum(introduced[name.key] for name in cluster.names)
        if (quoted >= NARRATOR_QUOTED and cluster.evidence["call"] >= 3) or said:
            options.append((cluster.evidence["call"] + 5 * said, cluster))
    return max(options, key=lambda option: option[0])[1] if options else None


def _best_name(cluster: Cluster) -> Name:
    """Return the name to call somebody by: full if that is used at all, else the most frequent."""

    def rank(name: Name) -> tuple[float, int, str]:
        fullness = 3.0 if len(name.core) > 1 else 1.0
        return (fullness * cluster.names[name], len(name.words), name.key)

    proper = [name for name, n in cluster.names.items() if cluster.articled[name] <= n / 2]
    named = sum(cluster.names[name] for name in proper)
    return max(proper if named >= PROPER_SHARE * cluster.count else cluster.names, key=rank)


def _join_linked(clusters: list[Cluster], links: list[tuple[str, str]]) -> list[Cluster]:
    """Join the clusters of two names that somebody claims, if one of them is no proper name."""
    kept = list(clusters)
    for pair in links:
        one, other = (_find(kept, name) for name in pair)
        if one is None or other is None or one is other or not (one.is_role or other.is_role):
            continue
        one.absorb(other)
        kept.remove(other)
    return kept


def _find(clusters: list[Cluster], printed: str) -> Cluster | None:
    key = normal(printed.split())
    return next((c for c in clusters if any(name.key == key for name in c.names)), None)


def _gender(cluster: Cluster, usual: str) -> tuple[Gender, dict[str, float]]:
    """Weigh titles and first names against the pronouns that follow.

    Where most pronouns of a book are one heroine's (`usual`), few of them after "the Mouse" prove
    nothing.
    """
    weight = Counter(
        {g: cluster.evidence[g] + TITLE_WEIGHT * cluster.gender[g] for g in ("he", "she")}
    )
    he, she = weight["he"] + 0.5, weight["she"] + 0.5  # Laplace: little evidence, little certainty
    share = he / (he + she)
    pronouns = {"he": round(share, 3), "she": round(1 - share, 3)}
    seen = cluster.evidence["he"] + cluster.evidence["she"]
    doubtful = cluster.evidence["it"] > seen
    if cluster.is_role and not cluster.gender:
        leans = "he" if share > 0.5 else "she"
        doubtful = doubtful or (leans == usual and seen < SURE_PRONOUNS)
    if doubtful or weight["he"] + weight["she"] < 1 or 0.4 <= share <= 0.6:
        return "unknown", pronouns
    return ("he" if share > 0.6 else "she"), pronouns


def _members(
    clusters: list[Cluster], narration: Narration, narrator: Cluster | None
) -> list[CastMember]:
    members = []
    if narration == "first" and narrator is None:
        members.append(
            CastMember(
                id=0, name="Narrator", aliases={}, gender="unknown", pronouns={}, is_narrator=True
            )
        )
    total = Counter({g: sum(c.evidence[g] for c in clusters) for g in ("he", "she")})
    usual = total.most_common(1)[0][0]
    for number, cluster in enumerate(clusters, start=1):
        gender, pronouns = _gender(cluster, usual)
        aliases: Counter[str] = Counter()
        for name, count in cluster.names.items():
            aliases[name.printed] += count
        members.append(
            CastMember(
                id=0 if cluster is narrator else number,
                name=_best_name(cluster).printed,
                aliases=dict(sorted(aliases.items(), key=lambda item: (-item[1], item[0]))),
                gender=gender,
                pronouns=pronouns,
                is_narrator=cluster is narrator,
            )
        )
    return members


def _offices(scans: list[ChapterScan], clusters: list[Cluster]) -> dict[str, Cluster]:
    """Return who is meant by "the doctor", "the captain"."""
    count = Counter[str]()
    for role in (role for scan in scans for role in scan.roles):
        count[role.noun] += role.count
    found = {noun: find_bearer(noun, n, clusters) for noun, n in sorted(count.items())}
    return {noun: who for noun, who in found.items() if who is not None}


def _roles(
    scans: list[ChapterScan],
    first_id: int,
    clusters: list[Cluster],
    offices: Collection[str],
) -> list[CastMember]:
    """Return those who are only ever called what they are, and speak."""
    count, speech, he, she = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for role in (role for scan in scans for role in scan.roles):
        count[role.noun] += role.count
        speech[role.noun] += role.speech
        he[role.noun] += role.he
        she[role.noun] += role.she
    taken = {word for cluster in clusters for name in cluster.names for word in name.core}
    loose = lexicon().of("names", "roles_loose")
    most = max((cluster.count for cluster in clusters), default=0)
    found: list[CastMember] = []
    for noun in sorted(count, key=lambda noun: (-count[noun], noun)):
        if count[noun] < ROLE_COUNT or speech[noun] < ROLE_SPEECH:
            continue
        if noun in taken or noun in offices:
            continue
        if noun in loose and count[noun] < LOOSE_SHARE * most:
            continue
        gender, pronouns = _role_gender(noun, he[noun], she[noun])
        found.append(
            CastMember(
                id=first_id + len(found),
                name=f"the {noun}",
                aliases={f"the {noun}": count[noun]},
                gender=gender,
                pronouns=pronouns,
                role=True,
            )
        )
    return found


def _role_gender(noun: str, he: int, she: int) -> tuple[Gender, dict[str, float]]:
    lists = lexicon()
    if noun in lists.of("names", "roles_he"):
        return "he", {"he": 1.0, "she": 0.0}
    if noun in lists.of("names", "roles_she"):
        return "she", {"he": 0.0, "she": 1.0}
    share = (he + 0.5) / (he + she + 1)
    pronouns = {"he": round(share, 3), "she": round(1 - share, 3)}
    if 0.35 <= share <= 0.65:
        return "unknown", pronouns
    return ("he" if share > 0.5 else "she"), pronouns


def _surfaces(
    clusters: list[Cluster], members: list[CastMember], narrator: Cluster | None
) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, cluster in enumerate(clusters, start=1):
        for name in cluster.names:
            found[name.key] = 0 if cluster is narrator else number
    found.update({member.name: member.id for member in members if member.role})
    return dict(sorted(found.items()))


def _blocked(names: dict[Name, Counter[str]], persons: set[Name]) -> list[str]:
    """Return names of places and things in which a person's name occurs: Jane Street."""
    words = {word for name in persons for word in name.core}
    return sorted(
        name.key for name in names.keys() - persons if words.intersection(name.core) and name.words
    )


def _ambiguous(persons: set[Name], cutter: Cutter) -> set[str]:
    return {
        name.key
        for name in persons
        if len(name.core) == 1 and not name.title and cutter.cases.ordinary(name.core[0])
    }
