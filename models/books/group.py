"""Who answers in a conversation of several."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who may answer, and what they are called."""

    id: UUID
    names: tuple[str, ...]


def choose_speaker(text: str, cast: Sequence[Speaker], spoken: Sequence[UUID]) -> Speaker:
    """Say who answers: who is addressed, else who is named first, else who was silent longest.

    `cast`: at least one, in their own order; `spoken`: who has spoken so far, oldest first.
    """
    named = [(place, one) for one in cast if (place := _named(text, one)) is not None]
    if named:
        return min(named, key=lambda found: found[0])[1]
    last = {id_: place for place, id_ in enumerate(spoken)}
    return min(cast, key=lambda one: last.get(one.id, -1))


def _named(text: str, one: Speaker) -> tuple[bool, int, int] | None:
    """Return how a text names somebody, so that the least is the one who is meant.

    Addressed ("Ann, what …", "…, Ann?") comes before spoken of; then what stands first; then the
    longer name, for "Miss Bennet" may be two people's and "Miss Jane Bennet" one's.
    """
    found = []
    for name in one.names:
        if not name.strip():
            continue
        for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
            before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
            opens = (not before or before.endswith((".", "!", "?", "@"))) and after[:1] in ",:!?-—"
            closes = before.endswith(",") and after[:1] in ("", ".", "!", "?", ",")
            addressed = opens or closes or before.endswith("@")
            found.append((not addressed, match.start(), -len(name)))
    return min(found, default=None)
