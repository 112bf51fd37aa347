"""Who is whose wife, husband, father or mother, as far as surnames tell."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from models.reading import CastMember

from .lexicon import lexicon

SPOUSES = {"wife": "mrs", "lady": "mrs", "husband": "mr"}
PARENTS = {"mother": "mrs", "mama": "mrs", "mamma": "mrs", "father": "mr", "papa": "mr"}


@dataclass(frozen=True, slots=True)
class Families:
    """Surnames of the members of a cast, and who is the Mr. and the Mrs. of each surname."""

    surname: dict[int, str]
    heads: dict[tuple[str, str], int]  # ("mrs", "bennet") → member

    def relative(self, noun: str, owner: int) -> int | None:
        """Return whom "his wife", "her mother" means, the owner of the pronoun known."""
        surname = self.surname.get(owner)
        title = SPOUSES.get(noun) or PARENTS.get(noun)
        if surname is None or title is None:
            return None
        found = self.heads.get((title, surname))
        if found == owner:
            return None
        if noun in SPOUSES:
            other = "mr" if title == "mrs" else "mrs"
            return found if self.heads.get((other, surname)) == owner else None
        return found


def find_families(members: Iterable[CastMember]) -> Families:
    """Read the families off the names of a cast."""
    counts: dict[int, dict[str, int]] = {}
    heads: dict[tuple[str, str], int] = {}
    for member in members:
        own: dict[str, int] = defaultdict(int)
        for alias, count in member.aliases.items():
            words = [word.lower().rstrip(".") for word in alias.split()]
            if len(words) > 1 and not member.role and not _is_first_name(words):
                own[words[-1]] += count
            if len(words) == 2 and words[0] in ("mr", "mrs"):
                heads.setdefault((words[0], words[1]), member.id)
        counts[member.id] = own
    surname = {who: max(own, key=lambda word: own[word]) for who, own in counts.items() if own}
    return Families(surname, heads)


def _is_first_name(words: list[str]) -> bool:
    """Say whether "Miss Lizzy" is all there is: a title and a first name."""
    return len(words) == 2 and words[0] != "mr" and lexicon().gender(words[1]) is not None
