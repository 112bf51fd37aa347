"""The tools in memory, for tests of steps. They keep the promises of the real ones (`suites`)."""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pydantic import BaseModel

from config.blobs import Blob, key_of
from models.errors import DomainError
from tasks.refusals import BlobMissing, FetchFailed
from tasks.tools import Completion, EmbeddingModel, Hit, Message, Passage, Purpose

M = TypeVar("M", bound=BaseModel)
WORD = re.compile(r"\w+")


class FakeLLM:
    """Gives the answers it was made with, in order, the last one for ever; errors are raised.

    Also the fake of `Structured`: an answer that is a model fills in a form.
    """

    def __init__(self, *answers: str | BaseModel | DomainError) -> None:
        self.answers = list(answers) or ["It is a truth universally acknowledged."]
        self.asked: list[tuple[Purpose, list[Message]]] = []
        self.extras: list[dict[str, object]] = []

    def name(self, purpose: Purpose) -> str:
        return f"fake/{purpose}"

    def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> Completion:
        answer = self._answer(messages, purpose, extra)
        text = answer.model_dump_json() if isinstance(answer, BaseModel) else answer
        return Completion(text=text, model=self.name(purpose), offline=False)

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
        answer = self.complete(messages, purpose=purpose, extra=extra)
        yield from re.findall(r"\s*\S+", answer.text)

    def fill(
        self,
        form: type[M],
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        extra: dict[str, object] | None = None,
    ) -> M:
        answer = self.complete(messages, purpose=purpose, extra=extra)
        return form.model_validate_json(answer.text)

    def _answer(
        self, messages: Sequence[Message], purpose: Purpose, extra: dict[str, object] | None
    ) -> str | BaseModel:
        self.asked.append((purpose, list(messages)))
        self.extras.append(extra or {})
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, DomainError):
            raise answer
        return answer


class FakeEmbedder:
    """Counts letters: texts alike have vectors alike."""

    DIMENSION = 26

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def model(self) -> EmbeddingModel:
        return EmbeddingModel(name="fake/letters", dimension=self.DIMENSION)

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        self.embedded += texts
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> list[float]:
        counts = [float(text.count(chr(ord("a") + place))) for place in range(self.DIMENSION)]
        length = math.hypot(*counts)
        if length == 0.0:
            return [1.0] + [0.0] * (self.DIMENSION - 1)
        return [count / length for count in counts]


class FakeVectors:
    """Collections of vectors in a dictionary."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, tuple[Passage, list[float]]]] = {}

    def create(self, collection: str, dimension: int) -> None:
        self.collections.setdefault(collection, {})

    def upsert(
        self, collection: str, passages: Sequence[Passage], vectors: Sequence[Sequence[float]]
    ) -> None:
        held = self.collections.setdefault(collection, {})
        for passage, vector in zip(passages, vectors, strict=True):
            held[passage.id] = passage, list(vector)

    def search(
        self,
        collection: str,
        vector: Sequence[float],
        *,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        held = self.collections.get(collection, {}).values()
        hits = [
            Hit(passage=passage, score=_cosine(vector, other))
            for passage, other in held
            if up_to_index is None or passage.index <= up_to_index
        ]
        return _best(hits, top_k)

    def count(self, collection: str) -> int:
        return len(self.collections.get(collection, {}))

    def drop(self, collection: str) -> None:
        self.collections.pop(collection, None)


class FakeKeywords:
    """Collections of passages in a dictionary; rare words count more."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, Passage]] = {}

    def create(self, collection: str) -> None:
        self.collections.setdefault(collection, {})

    def upsert(self, collection: str, passages: Sequence[Passage]) -> None:
        held = self.collections.setdefault(collection, {})
        held.update({passage.id: passage for passage in passages})

    def search(
        self, collection: str, query: str, *, top_k: int, up_to_index: int | None = None
    ) -> list[Hit]:
        held = [
            (passage, _words(passage.text))
            for passage in self.collections.get(collection, {}).values()
            if up_to_index is None or passage.index <= up_to_index
        ]
        wanted = {word: sum(word in words for _, words in held) for word in _words(query)}
        hits = [
            Hit(passage=passage, score=sum(1 / wanted[word] for word in wanted if word in words))
            for passage, words in held
        ]
        return _best([hit for hit in hits if hit.score > 0], top_k)

    def passages(self, collection: str) -> list[Passage]:
        held = self.collections.get(collection, {}).values()
        return sorted(held, key=lambda passage: passage.index)

    def count(self, collection: str) -> int:
        return len(self.collections.get(collection, {}))

    def drop(self, collection: str) -> None:
        self.collections.pop(collection, None)


class FakeReranker:
    """Counts the words that a passage shares with the query."""

    def rerank(self, query: str, hits: Sequence[Hit], *, top_k: int) -> list[Hit]:
        wanted = _words(query)
        shared = [(hit.passage, len(wanted & _words(hit.passage.text))) for hit in hits]
        return _best([Hit(passage=one, score=float(score)) for one, score in shared], top_k)


class FakeBlobs:
    """Bytes in a dictionary."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, data: bytes) -> Blob:
        sha256 = hashlib.sha256(data).hexdigest()
        self.stored[key_of(sha256)] = data
        return Blob(key=key_of(sha256), sha256=sha256, size_bytes=len(data))

    def get(self, key: str) -> bytes:
        if key not in self.stored:
            raise BlobMissing
        return self.stored[key]


class FakeFetch:
    """Files by address; errors are raised. An address that nobody gave is not found."""

    def __init__(self, files: dict[str, bytes | DomainError] | None = None) -> None:
        self.files = files or {}
        self.fetched: list[str] = []

    def download(self, url: str, *, progress: Callable[[int, int], None] | None = None) -> bytes:
        self.fetched.append(url)
        found = self.files.get(url, FetchFailed(reason="status", status=404))
        if isinstance(found, DomainError):
            raise found
        if progress is not None:
            progress(len(found), len(found))
        return found


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    scale = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / scale


def _best(hits: list[Hit], top_k: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage.index))[:top_k]


class FakeCache:
    """A dictionary that never forgets."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def put(self, key: str, value: str, *, ttl_s: int) -> None:
        assert ttl_s > 0
        self.kept[key] = value
