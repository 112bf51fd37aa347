"""What the speakers of the turns before say about who speaks now.

Feature names are keys of `data/weights.json`, as those of `features.py`.
"""

from .features import RECENT_PARAGRAPHS, Features, Question, Who


def transition(
    question: Question,
    before: Question | None,
    before2: Question | None,
    who: Who | None,
    last: Who | None,
    last2: Who | None,
) -> Features:
    """Return what the speakers of the two turns before say about `who` speaking now."""
    if before is None:
        return {}
    distance = question.turn.para - before.turn.para
    if distance > RECENT_PARAGRAPHS // 3:
        return {}
    if question.turn.goes_on and distance == 1:
        return {"goes_on_same" if who == last else "goes_on_other": 1.0}
    tag = {"0": "i", "B": "b"}.get(question.kind[0], "p" if "pronoun" in question.kind else "x")
    gap = "0" if distance <= 1 else "1"
    features: Features = {}
    if who == last:
        features[f"same_{tag}{gap}"] = 1.0
    if before2 is not None and question.turn.para - before2.turn.para <= 6 and who != last:
        features[f"{'turn_taking' if who == last2 else 'new'}_{tag}{gap}"] = 1.0
    return features
