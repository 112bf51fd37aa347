"""What is counted of each book that was read in, for those who watch the platform."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import Session

from models.counters import count
from models.jobs.running import spans

PHASES = {  # the document's names, and the steps that make them up
    "booknlp": ("read_whole",),
    "extract": ("scan_chapter", "find_cast", "read_chapter", "gather_cast"),
    "prompt": ("write_persona",),
    "index": ("cut_chunks", "open_index", "index_batch"),
}


def count_reading(session: Session, job_id: UUID, *, found: int, asked: int, voiced: int) -> None:
    """Count a book's characters (found, asked about, given a voice) and each phase's seconds."""
    count(session, "characters_extracted", found)
    count(session, "characters_processed", voiced, label="success")
    count(session, "characters_processed", asked - voiced, label="failed")
    for phase, seconds in phase_seconds(spans(session.connection(), job_id)).items():
        count(session, "phase_seconds", seconds, label=phase)
        count(session, "phase_runs", label=phase)


def count_revoiced(session: Session, *, voiced: int) -> None:
    """Count the characters who have got the voice that they were left without before."""
    count(session, "characters_processed", voiced, label="success")


def phase_seconds(steps: Sequence[Any]) -> dict[str, float]:
    """Return how long each phase took, from its first step's start to its last step's end."""
    told: dict[str, float] = {}
    for phase, names in PHASES.items():
        of_phase = [one for one in steps if one.name in names]
        if of_phase:
            ended = max(one.finished_at for one in of_phase)
            told[phase] = (ended - min(one.started_at for one in of_phase)).total_seconds()
    return told
