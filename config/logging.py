"""Log lines that say what they belong to, and never hold a secret.

    2026-11-21T07:00:00.000Z WARNING api.dialects request=4f… job=- step=- POST /jobs/x failed

While traces are sent (`OTEL_…`), a line names its trace as well, before the message.

Everything goes to standard error through one handler, so that no line escapes the redaction.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from config import tracing
from config.settings import listed, settings

NONE = "-"
HIDDEN = "***"
LINE = (
    "%(asctime)s %(levelname)s %(name)s request=%(request)s job=%(job)s step=%(step)s %(message)s"
)
TRACED = LINE.replace("%(message)s", "trace=%(trace)s %(message)s")
SHORT = 8  # a configured secret of fewer characters is not looked for: it would hide common words
TALKATIVE = ("httpx", "httpcore", "hpack", "LiteLLM")  # they tell every request, with its address

_names = ("request", "job", "step")
_about = {name: ContextVar(name, default=NONE) for name in _names}


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Let every line within the block name these ids: `request`, `job` and `step`."""
    tokens = [(_about[name], _about[name].set(str(value))) for name, value in ids.items()]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


class Belonging(logging.Filter):
    """Tells each record what it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request`, `job`, `step` and `trace`; let everything pass."""
        for name, variable in _about.items():
            setattr(record, name, variable.get())
        record.trace = tracing.trace_id() or NONE
        return True


class Line(logging.Formatter):
    """One line per record, then its traceback; without secrets, also in the traceback."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        """Use the house's format."""
        super().__init__(TRACED if tracing.is_on() else LINE)

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, redacted."""
        return redact(super().format(record))


def configure(level: str | None = None, *, quieter: dict[str, int] | None = None) -> None:
    """Send all logs of this process through one redacting handler.

    `level` is that of `LOG_LEVEL` if none is given; `quieter` gives some loggers one of their own.
    """
    handler = logging.StreamHandler()
    handler.addFilter(Belonging())
    handler.setFormatter(Line())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level or settings.log.level)
    for name, own in (dict.fromkeys(TALKATIVE, logging.WARNING) | (quieter or {})).items():
        logging.getLogger(name).setLevel(own)
    adopt("uvicorn", "uvicorn.error", "uvicorn.access")


def adopt(*names: str) -> None:
    """Take loggers' own handlers away, which know nothing of redaction."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


_KEY = r"(?:pass(?:word|wd|phrase)|secret|api[_-]?key|access[_-]?key|private[_-]?key|authorization)"
_VALUE = r"""(?:b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|(?:(?i:bearer|basic)\s+)?[^\s,;&}\])"']+)"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ of an address
    (re.compile(r"(://)[^/\s@\"']+@"), rf"\1{HIDDEN}@"),
    # Cookie: everything to the end of the line
    (re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s*[:=]\s*)[^\n]+"), rf"\1{HIDDEN}"),
    # name=value, "name": "value", (b"name", b"value"); `token` only as a whole word: tokens are
    # also what a model counts
    (
        re.compile(
            rf"(?i)((?:\b|_)(?:[\w-]*{_KEY}[\w-]*|(?:[\w-]*[_-])?token)[\"']?"
            rf"(?:\s*[=:]\s*|,\s*(?=b?[\"'])))({_VALUE})"
        ),
        rf"\1{HIDDEN}",
    ),
    # what signs an address, or opens one job's stream
    (re.compile(r"(?i)([?&](?:key|sig|signature|x-amz-[\w-]+)=)[^&\s\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {HIDDEN}"),
    # keys that are known by their form: of providers, JWTs, what we have sealed
    (
        re.compile(
            r"\b(?:[spr]k-[\w-]{16,}|gh[pousr]_\w{20,}|hf_\w{20,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
            r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|gAAAA[\w-]{40,}=*)"
        ),
        HIDDEN,
    ),
)


def redact(text: str) -> str:
    """Return `text` with everything that is, or looks like, a secret hidden."""
    for secret in _configured():
        text = text.replace(secret, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


@cache
def _configured() -> tuple[str, ...]:
    """Return the secrets of this process's own settings, longest first."""
    found = set(_secrets(settings))
    database = settings.database
    for url in (database.url, database.direct_url, settings.redis.url, settings.broker.url):
        password = urlsplit(url).password or ""
        found |= {password, unquote(password)}
    return tuple(sorted((one for one in found if len(one) >= SHORT), key=len, reverse=True))


def _secrets(group: BaseModel) -> Iterator[str]:
    value: Any
    for _, value in group:
        if isinstance(value, SecretStr):
            yield from (value.get_secret_value(), *listed(value.get_secret_value()))
        elif isinstance(value, BaseModel):
            yield from _secrets(value)
