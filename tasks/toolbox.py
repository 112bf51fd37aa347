"""Where the tools come from: adapters, named by path and imported when a worker first needs one."""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from sqlmodel import Session

from config.settings import settings
from tasks.progress import Ask, Checkpoint, JobRef, Progress
from tasks.streams import Tokens
from tasks.tools import (
    LLM,
    BlobPruner,
    Blobs,
    BookReader,
    Cache,
    Courier,
    Documents,
    Embedder,
    Extractor,
    Fetch,
    Keywords,
    Mail,
    Reranker,
    Speech,
    Structured,
    Tokenizer,
    Vectors,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tool:
    """Where a tool comes from, and whether using it leaves the process."""

    path: str  # `module:Class`, imported when a worker first needs it
    outside: bool = True

    def provide(self) -> Any:
        """Return this process's instance."""
        return _instance(self.path)


@cache
def _instance(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)()


VECTORS = (
    "tasks.adapters.vectors_qdrant:QdrantVectors"
    if settings.qdrant.url
    else "tasks.adapters.vectors:PgVectors"
)
KEYWORDS = (
    "tasks.adapters.keywords_typesense:TypesenseKeywords"
    if settings.typesense.url
    else "tasks.adapters.keywords:PgKeywords"
)
TOOLS: dict[Any, Tool] = {
    LLM: Tool("tasks.adapters.llm:LiteLLM"),
    Structured: Tool("tasks.adapters.llm:LiteLLM"),
    Embedder: Tool("tasks.adapters.embeddings:LiteLLMEmbedder"),
    Vectors: Tool(VECTORS),
    Keywords: Tool(KEYWORDS),
    Reranker: Tool("tasks.adapters.rerank:LiteLLMReranker"),
    Cache: Tool("tasks.adapters.cache:RedisCache"),
    Blobs: Tool("tasks.adapters.blobs:StoredBlobs"),
    BlobPruner: Tool("tasks.adapters.blobs:StoredBlobs"),
    Tokenizer: Tool("tasks.adapters.tokenizer:TiktokenTokenizer"),
    Documents: Tool("tasks.adapters.documents:DocumentReader"),
    Fetch: Tool("tasks.adapters.fetch:GuardedFetch"),
    Courier: Tool("tasks.adapters.webhooks:SignedCourier"),
    Mail: Tool("tasks.adapters.mail:SmtpMail"),
    Speech: Tool("tasks.adapters.speech:Deepgram"),
    Extractor: Tool("tasks.adapters.extractors.builtin:BuiltinExtractor"),
    BookReader: Tool("tasks.adapters.extractors.booknlp.adapter:BookNLPReader"),
}

# What the engine itself hands to a step: made anew for each attempt.
ENGINE_TOOLS: frozenset[Any] = frozenset({Session, JobRef, Progress, Checkpoint, Ask, Tokens})
