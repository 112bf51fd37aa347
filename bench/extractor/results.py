"""The extractor's figures as the table people read."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from .score import Tally
from .speed import Speed

RESULTS = Path(__file__).parent / "RESULTS.md"
# key of a tally → what it is called; several share a row's text in README and model card
COLUMNS = {
    "speaker": "quote → speaker",
    "explicit": "explicit",
    "anaphoric": "anaphoric",
    "implicit": "implicit",
    "strict": "one-to-one",
    "b3": "B³ F1",
    "found": "quotes found",
    "cast": "cast recall",
    "clusters": "per character",
    "list": "list precision",
    "gender": "gender",
    "addressee": "addressee",
}


def b_cubed_f1(tally: Tally) -> float | None:
    """Return the harmonic mean of B-cubed precision and recall."""
    precision, recall = tally.rate("b3_precision"), tally.rate("b3_recall")
    if not precision or not recall:
        return None
    return 2 * precision * recall / (precision + recall)


def quality_table(rows: dict[str, Tally]) -> str:
    """Return a row of figures per corpus or novel."""
    head = " | ".join(["", "quotes", *COLUMNS.values()])
    lines = [f"|{head} |", "|" + "---|" * (len(COLUMNS) + 2)]
    for name, tally in rows.items():
        cells = [b_cubed_f1(tally) if key == "b3" else tally.rate(key) for key in COLUMNS]
        told = ["" if cell is None else f"{cell:.3f}" for cell in cells]
        lines.append(f"| {name} | {tally.all['speaker']:,} | {' | '.join(told)} |")
    return "\n".join(lines)


def speed_table(rows: dict[str, Speed]) -> str:
    """Return a row per text."""
    lines = ["| text | tokens | cast and quotes, tokens/s | everything, tokens/s | peak, MB |"]
    lines.append("|---|---|---|---|---|")
    lines += [
        f"| {name} | {s.tokens:,} | {s.quotes_per_s:,.0f} | {s.all_per_s:,.0f} | {s.peak_mb:.0f} |"
        for name, s in rows.items()
    ]
    return "\n".join(lines)


def page(command: str, quality: str, speed: str, notes: str) -> str:
    """Return the whole page."""
    return f"""# The built-in extractor, measured

`{command}` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), one
used, Python {platform.python_version()}. `score.py` defines the figures.

{quality}

{notes}

{speed}

Seconds of processor time, each text in a process of its own, the interpreter and the word lists
counted in the memory.
"""
