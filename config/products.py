"""Settings of the products, a group for each; `config.settings` reads them with all others."""

from typing import Annotated, Literal

from pydantic import SecretStr, StringConstraints

from config.group import Group

# booknlp and auto: BookNLP where a worker for it lives, else the built-in one; auto also takes that
# for a book on which BookNLP fails
ExtractorChoice = Literal["builtin", "booknlp", "auto"]

# file types between commas
Formats = Annotated[str, StringConstraints(pattern=r"^(txt|md|epub|pdf)(,(txt|md|epub|pdf))*$")]


class DeepgramSettings(Group):
    """The server that hears and speaks for voice sessions. Without a key there are none."""

    api_key: SecretStr = SecretStr("")
    api_base: str = "https://api.deepgram.com"
    timeout_s: float = 5.0


class VoiceSettings(Group):
    """Voice sessions."""

    daily_session_limit: int = 20  # of one person within 24 hours
    token_ttl_s: int = 3600  # as long as Deepgram lets a token live
    voice_model: str = "aura-2-thalia-en"
    listen_model: str = "nova-3"
    llm_model: str = "gpt-4o-mini"  # Deepgram's, for leading the conversation


class BooksSettings(Group):
    """How a book is read in."""

    formats: Formats = "txt,md"  # that POST /books takes; txt,md,epub,pdf: all there are
    cast_size: int = 12  # characters given a voice
    min_mentions: int = 5
    chunk_tokens: int = 400
    chunk_overlap_tokens: int = 60
    top_k: int = 8
    history_messages: int = 10
    extractor: ExtractorChoice = "builtin"


class BookNLPSettings(Group):
    """Where a worker of the queue `booknlp` finds BookNLP. Nothing is ever downloaded."""

    model_path: str = ""  # folder of its three files of weights
    base_path: str = ""  # folder that holds google/bert_uncased_…; empty: Hugging Face's cache
    size: Literal["small", "big"] = "small"
    spacy_model: str = "en_core_web_sm"  # a package, or a folder
    python: str = ""  # interpreter of the environment it is installed in; empty: the worker's own
    timeout_s: float = 7200.0  # a book of 200,000 words takes half an hour on a processor


class GoalsSettings(Group):
    """What plans are grounded on."""

    article_roots: str = ""  # folders whose articles may be ingested, between commas
    chunk_chars: int = 2000
    chunk_overlap_chars: int = 200
    top_k: int = 5
    threshold: float = 0.2  # cosine below which a passage says nothing about a goal
