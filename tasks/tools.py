"""The tools a step may ask for by type.

A step names a capability, never the library behind it. Implementations live in `tasks.adapters` and
are imported by path when a worker first needs one (`tasks.toolbox`), so the API never loads them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from models.accounts.mail import Letter
from models.blobs import Blob
from models.reading import CastList, Chapter, ChapterReading, ChapterScan, Reading
from models.webhooks.tables import Outcome
from tasks.documents import Documents
from tasks.progress import Ask, Checkpoint, JobRef, Progress
from tasks.search import Embedder, EmbeddingModel, Hit, Keywords, Passage, Reranker, Vectors
from tasks.streams import Tokens

Purpose = Literal["chat", "analysis", "rewrite", "plan"]
M = TypeVar("M", bound=BaseModel)


class Message(BaseModel):
    """One turn of a conversation with a model."""

    role: Literal["system", "user", "assistant"]
    content: str


class Completion(BaseModel):
    """A whole answer, and who gave it."""

    text: str
    model: str
    offline: bool
    tokens_in: int = 0
    tokens_out: int = 0


class LLM(Protocol):
    """A chat model, chosen by purpose in the settings (`MODELS_CHAT`, `MODELS_ANALYSIS`, …)."""

    def name(self, purpose: Purpose) -> str:
        """Return the LiteLLM name of the model that serves `purpose`."""
        ...

    def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> Completion:
        """Return the whole answer.

        `extra` travels as the request's metadata; only the offline provider reads it.
        Raises Unavailable (retried; with `retry_after_s` when the provider named one), or a
        Refused (terminal) when the provider will never take this request.
        """
        ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        form: type[BaseModel] | None = None,
        extra: dict[str, object] | None = None,
    ) -> Iterator[str]:
        """Yield the answer's pieces as they come, and "" now and then while none comes.

        With a `form` the model is asked for JSON that fits it; whoever reads it checks that.

        Closing the iterator ends the request. Raises as `complete` does, and Unavailable after the
        pieces of an answer that broke off."""
        ...


class Structured(Protocol):
    """A chat model that fills in a form."""

    def fill(
        self,
        form: type[M],
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        extra: dict[str, object] | None = None,
    ) -> M:
        """Return `form`, filled in. An invalid answer is shown to the model once more, then
        raises Unavailable. Raises as `LLM.complete` does."""
        ...


class Tokenizer(Protocol):
    """Cuts text by the tokens that models count."""

    def cut(self, text: str, *, tokens: int, overlap: int) -> list[tuple[int, int]]:
        """Return spans (start, end) of at most `tokens` tokens; neighbours share `overlap`."""
        ...


class Blobs(Protocol):
    """Large bytes, immutable, kept under their sha256."""

    def put(self, data: bytes) -> Blob:
        """Store `data`. Safe to repeat."""
        ...

    def get(self, key: str) -> bytes:
        """Return the bytes. Raises NotFound."""
        ...


class BlobPruner(Protocol):
    """Removes from the blob store what nobody needs."""

    def prune(self, progress: Callable[[int, int, str], None]) -> int:
        """Delete old blobs without a claim on them; return how many. Safe to repeat.

        `progress(done, total, message)` counts blobs. Raises Unavailable."""
        ...


class Cache(Protocol):
    """What may be forgotten at any time, so nothing has to be computed or paid for twice."""

    def get(self, key: str) -> str | None:
        """Return what was put there, or None."""
        ...

    def put(self, key: str, value: str, *, ttl_s: int) -> None:
        """Keep a value for `ttl_s` seconds, if that can be done."""
        ...


class Fetch(Protocol):
    """Files from addresses that users name, through the guarded client."""

    def download(self, url: str, *, progress: Callable[[int, int], None] | None = None) -> bytes:
        """Return the body. `progress(done_bytes, total_bytes)`; total 0 when unknown.

        Raises FetchRefused (terminal: private address, too large, not found …), Unavailable."""
        ...


class Courier(Protocol):
    """Messages to webhooks, signed, through the guarded client."""

    def deliver(self, delivery_id: UUID) -> Outcome:
        """Send a delivery once and return what came of it, also when that is nothing good."""
        ...


class Mail(Protocol):
    """Letters to people."""

    def send(self, letter: Letter) -> str:
        """Send a letter; return how it went out: `smtp` or `log`.

        Raises Unavailable (retried), MailRefused."""
        ...


class Speech(Protocol):
    """The server that hears and speaks, which people's own devices talk to."""

    def grant(self, *, ttl_s: int) -> str:
        """Return a token with which a device may connect within `ttl_s` seconds. It is a secret.

        Raises SpeechNotConfigured, Unavailable (retried), SpeechRefused."""
        ...


class Extractor(Protocol):
    """Finds the cast of a book and who says what, chapter by chapter."""

    version: str

    def scan(self, text: str, chapter: Chapter) -> ChapterScan:
        """Return the names and the evidence about them in one chapter."""
        ...

    def cast(self, scans: list[ChapterScan]) -> CastList:
        """Merge the scans into the book's cast: names, aliases, gender, narrator."""
        ...

    def extract(self, text: str, chapter: Chapter, cast: CastList) -> ChapterReading:
        """Return one chapter's mentions, quotations with speakers, and actions."""
        ...

    def finish(
        self, text: str, chapters: list[Chapter], cast: CastList, readings: list[ChapterReading]
    ) -> Reading:
        """Put the chapters together: totals, relations, importance."""
        ...


class BookReader(Protocol):
    """An extractor that can only read a book as a whole: BookNLP."""

    def read(
        self, text: str, chapters: list[Chapter], *, watch: Callable[[int, int, str], None]
    ) -> Reading:
        """Return the whole book, read. Takes minutes and a gigabyte; one at a time.

        `watch(done, total, phase)` is called several times a second and may raise, which ends the
        work. Raises BookNLPUnfit (weights or libraries are missing), BookNLPFailed.
        """
        ...


__all__ = [
    "LLM",
    "Ask",
    "BlobPruner",
    "Blobs",
    "BookReader",
    "Cache",
    "Checkpoint",
    "Completion",
    "Courier",
    "Documents",
    "Embedder",
    "EmbeddingModel",
    "Extractor",
    "Fetch",
    "Hit",
    "JobRef",
    "Keywords",
    "Mail",
    "Message",
    "Passage",
    "Progress",
    "Purpose",
    "Reranker",
    "Speech",
    "Structured",
    "Tokenizer",
    "Tokens",
    "Vectors",
]
