"""How long a long novel takes to be read in, with the providers that need no network."""

from uuid import UUID

from bench.figures import Figure, bounded
from bench.servers import ROOT, wait_until, worker

NOVELS = ROOT / "tests/data/novels"
JOINED = ("Emma", "TheSportOfTheGods", "AlicesAdventuresInWonderland")  # 1.25 MB together
TARGET_S = 30.0
PATIENCE_S = 600.0
MB = 10**6


def measure(scale: float) -> list[Figure]:
    """Read a text of 1.2 MB in, twice: at first the workers have loaded nothing.

    From the upload's commit to the job's end, by Postgres' clock.
    """
    text = _long_novel(int(1.2 * MB * min(scale, 1)))
    with worker("io", "bench.worker", slots=8), worker("cpu", "bench.worker", slots=2):
        first, again = _read_in(text), _read_in(text)
    size = f"{len(text) / MB:.2f} MB"
    return [
        bounded(f"a text of {size} read in, offline", first[0], "s", at_most=TARGET_S,
                note=f"{first[1]} characters, {first[2]} passages"),
        bounded(f"a text of {size} read in again", again[0], "s", at_most=TARGET_S),
    ]  # fmt: skip


def _long_novel(at_least: int) -> bytes:
    """Return whole novels, one after the other, until there are so many bytes."""
    text = b""
    for name in JOINED:
        if len(text) < at_least:
            text += (NOVELS / f"{name}.txt").read_bytes() + b"\n\n"
    return text


def _read_in(text: bytes) -> tuple[float, int, int]:
    """Return seconds, characters and passages."""
    from config.db import transaction
    from models.books.library import get_book, list_characters
    from models.jobs.tables import TERMINAL, Job, JobStatus

    book_id, job_id = _bring(text)

    def job() -> Job:
        with transaction() as session:
            return session.get_one(Job, job_id)

    wait_until(lambda: job().status in TERMINAL, "the reading", PATIENCE_S)
    done = job()
    assert done.status == JobStatus.SUCCEEDED, done.error
    assert done.finished_at is not None
    with transaction() as session:
        book = get_book(session, book_id, owner=done.owner_id)
        cast = list_characters(session, book_id, after=0, limit=10_000)
        return (
            (done.finished_at - done.created_at).total_seconds(),
            len(cast),
            book.total_chunks,
        )


def _bring(text: bytes) -> tuple[UUID, UUID]:
    """Keep a book and start reading it in, as `POST /books` does; return its id and the job's."""
    from config.blobs import BlobStore
    from config.db import transaction
    from models.accounts import LOCAL_USER_ID
    from models.books.library import new_book, start_processing
    from pipelines.books.ingest import ingest
    from pipelines.books.staging import IngestBook

    with transaction() as session:
        book = new_book(title="A long novel", author="", owner=LOCAL_USER_ID)
        book.file_blob = BlobStore().put(text).key
        session.add(book)
        session.flush()
        job = ingest.start(session, IngestBook(book_id=book.id), owner=LOCAL_USER_ID)
        start_processing(session, book, job.id)
        return book.id, job.id
