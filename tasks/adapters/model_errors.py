"""LiteLLM's errors in the house's words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import openai
from litellm import exceptions

from config.retry_after import retry_after_s
from config.settings import settings
from models.errors import Unavailable
from tasks.refusals import ModelRefused

SHOWN_CHARS = 300  # of a provider's explanation
KEY_LIKE = re.compile(r"\b(?:sk|pk|key|Bearer)[-_ ][\w*.-]{6,}")

UNAUTHORIZED = (exceptions.AuthenticationError, exceptions.PermissionDeniedError)
REFUSED = (
    exceptions.BadRequestError,  # context windows and content policies are kinds of it
    exceptions.NotFoundError,
    exceptions.UnprocessableEntityError,
)


class BrokeOff(Exception):
    """An answer ended before its end."""


@contextmanager
def our_errors(model: str) -> Iterator[None]:
    """Translate what a call to `model` raises. Raises Unavailable, ModelRefused.

    The cause is left out on purpose: LiteLLM's messages may hold the key and the prompt.
    """
    try:
        yield
    except UNAUTHORIZED:
        raise ModelRefused(f"The provider of {model} does not accept our key.") from None
    except REFUSED as error:
        raise ModelRefused(f"{model} refused the request: {_shown(error)}") from None
    except exceptions.RateLimitError as error:
        raise Unavailable(f"{model} is rate-limited.", retry_after_s=wait_s(error)) from None
    except (TimeoutError, openai.APITimeoutError):
        raise Unavailable(f"{model} took too long.") from None
    except BrokeOff:
        raise Unavailable(f"The answer of {model} broke off.") from None
    except (openai.OpenAIError, OSError) as error:
        problem = f"{model} failed: {type(_inner(error)).__name__}."
        raise Unavailable(problem, retry_after_s=wait_s(error)) from None


def _inner(error: Exception) -> Exception:
    """Return the error of the provider, where LiteLLM wraps it because an answer had begun."""
    if isinstance(error, exceptions.MidStreamFallbackError) and error.original_exception:
        return error.original_exception
    return error


def wait_s(error: Exception) -> float | None:
    """Return how long the provider asked us to wait."""
    inner = _inner(error)
    headers = getattr(inner, "litellm_response_headers", None)
    if headers is None:
        headers = getattr(getattr(inner, "response", None), "headers", None)
    return retry_after_s(headers.get("retry-after")) if headers else None


def _shown(error: openai.APIError) -> str:
    """Return a provider's explanation, short, in one line and without keys."""
    text = " ".join(error.message.split())
    if key := settings.llm.api_key.get_secret_value():
        text = text.replace(key, "***")
    return KEY_LIKE.sub("***", text)[:SHOWN_CHARS]
