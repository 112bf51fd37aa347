"""The articles that plans are grounded on."""

from pathlib import Path

from pydantic import BaseModel
from sqlmodel import Session

from config.settings import listed, settings
from models.base import now
from models.errors import Unprocessable
from models.goals.tables import Corpus

CORPUS = "articles"  # there is one; the tables would hold more
SUFFIXES = (".md", ".txt")
BREAKS = ("\n\n", "\n", ". ", " ")  # where a passage ends rather than in mid-word, best first


class UnknownArticles(Unprocessable):
    """These articles may not be ingested; GOALS_ARTICLE_ROOTS lists the folders that may."""

    code = "unknown_articles"


class LiveCorpus(BaseModel):
    """What can be searched at the moment."""

    collection: str
    embedding_model: str | None


def article_root(name: str | None) -> str:
    """Return the folder that goes by this name, or the first one. Raises UnknownArticles.

    A client says which of the configured folders it means, by its last part or in full: no path of
    a client is ever opened.
    """
    roots = listed(settings.goals.article_roots)
    for root in roots:
        if name is None or name.rstrip("/") in (Path(root).name, root.rstrip("/")):
            return root
    raise UnknownArticles(known=[Path(root).name for root in roots])


def article_files(root: str) -> list[Path]:
    """Return the articles of a folder, in order; links that lead out of it are left out."""
    inside = Path(root).resolve()
    found = (path for path in sorted(inside.rglob("*")) if path.suffix.lower() in SUFFIXES)
    return [path for path in found if path.is_file() and path.resolve().is_relative_to(inside)]


def cut(text: str, *, size: int, overlap: int) -> list[str]:
    """Return the passages of a text, of at most `size` characters; neighbours share `overlap`.

    A passage ends at a paragraph, line, sentence or word, if one of these does in its second half.
    """
    passages, start = [], 0
    while start < len(text):
        end = _end(text, start, size)
        if piece := text[start:end].strip():
            passages.append(piece)
        if end == len(text):
            break
        start = max(end - overlap, start + 1)
    return passages


def _end(text: str, start: int, size: int) -> int:
    if start + size >= len(text):
        return len(text)
    for mark in BREAKS:
        at = text.rfind(mark, start + size // 2, start + size)
        if at >= 0:
            return at + len(mark)
    return start + size


def live_corpus(session: Session) -> LiveCorpus | None:
    """Return what plans may be grounded on, if there is anything."""
    row = session.get(Corpus, CORPUS)
    if row is None or not row.version:
        return None
    return LiveCorpus(collection=row.collection(), embedding_model=row.embedding_model)


def open_corpus(session: Session) -> Corpus:
    """Give an ingestion its own version number, so that it never touches what is live."""
    row = session.get(Corpus, CORPUS, with_for_update=True)
    if row is None:
        row = Corpus(name=CORPUS)
    row.last_version += 1
    row.updated_at = now()
    session.add(row)
    session.flush()
    return row
