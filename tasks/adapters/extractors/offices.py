"""Who "the doctor" is: the one of the cast who bears that title."""

from .clusters import Cluster
from .lexicon import lexicon

_ABBREVIATED = {
    "doctor": ("dr.", "dr"),
    "captain": ("capt.",),
    "colonel": ("col.",),
    "general": ("gen.",),
    "professor": ("prof.",),
    "sergeant": ("sgt.",),
}
ALONE = 3  # times as often named as all others of the title together
MORE_OFTEN = 3  # "the captain", against the name: beyond, the nameless captain is somebody else


def find_bearer(noun: str, count: int, clusters: list[Cluster]) -> Cluster | None:
    """Return whom `noun`, said `count` times with an article, means; None where nobody stands out.

    So "the doctor" is Dr. Archie, unless there is a second doctor who is named as well.
    """
    if noun not in lexicon().of("titles", "offices"):
        return None
    titles = {noun, *_ABBREVIATED.get(noun, ())}
    bearing = [c for c in clusters if any(titles.intersection(name.title) for name in c.names)]
    bearing.sort(key=lambda cluster: -cluster.count)
    if not bearing or count > MORE_OFTEN * bearing[0].count:
        return None
    others = sum(cluster.count for cluster in bearing[1:])
    return bearing[0] if bearing[0].count >= ALONE * others else None
