"""Whether a book is read in one pass, by BookNLP, or chapter by chapter."""

from typing import Literal

from pydantic import BaseModel
from sqlalchemy import Connection

from config.products import ExtractorChoice
from config.settings import settings
from models.jobs import nodes

QUEUE = "booknlp"
NO_WORKER = "No worker for BookNLP is running; the built-in extractor reads this book."


class Pass(BaseModel):
    """A pass over the whole book."""

    extractor: Literal["booknlp"] = "booknlp"
    required: bool  # asked for by name: if it fails, so does the job


def choose_passes(asked: ExtractorChoice | None, conn: Connection) -> tuple[list[Pass], str | None]:
    """Return the passes over the whole book, at most one, and what to tell about the choice.

    A step of a queue that nobody serves would wait for ever: so the live workers are asked first.
    """
    choice = asked or settings.books.extractor
    if choice == "builtin":
        return [], None
    live = nodes.live_nodes(conn, within_s=settings.engine.dead_after_s)
    if not nodes.slots(live).get(QUEUE):
        return [], NO_WORKER
    return [Pass(required=choice == "booknlp")], None
