"""LiteLLM, loaded once per worker and told to keep to itself; its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import litellm
import openai
from litellm import exceptions

from config.retry_after import retry_after_s
from config.settings import settings
from models.errors import Unavailable, Unprocessable
from tasks.adapters.offline import OfflineProvider

OFFLINE = "offline/"

litellm.telemetry = False
litellm.suppress_debug_info = True
litellm.drop_params = True  # a model that lacks a parameter answers without it
litellm.custom_provider_map = [{"provider": "offline", "custom_handler": OfflineProvider()}]


class ModelRefused(Unprocessable):
    """The model's provider does not take this request."""

    code = "model_refused"


def connection_options(model: str) -> dict[str, Any]:
    """Return how a model is reached: addresses, key and time limits; the engine retries."""
    options: dict[str, Any] = {
        "num_retries": 0,
        "max_retries": 0,
        "timeout": httpx.Timeout(settings.llm.timeout_s, connect=settings.llm.connect_timeout_s),
    }
    if not model.startswith(OFFLINE):
        if settings.llm.api_base:
            options["api_base"] = settings.llm.api_base
        if key := settings.llm.api_key.get_secret_value():
            options["api_key"] = key
    return options


@contextmanager
def our_errors(model: str) -> Iterator[None]:
    """Translate LiteLLM's errors. Messages name the model and the kind, never what was sent."""
    try:
        yield
    except exceptions.RateLimitError as error:
        response = getattr(error, "response", None)
        header = response.headers.get("retry-after") if response is not None else None
        raise Unavailable(
            f"{model} is rate-limited.", retry_after_s=retry_after_s(header)
        ) from error
    except (
        exceptions.AuthenticationError,
        exceptions.PermissionDeniedError,
        exceptions.NotFoundError,
        exceptions.BadRequestError,
        exceptions.UnprocessableEntityError,
    ) as error:
        raise ModelRefused(f"{model} refused the request: {type(error).__name__}.") from error
    except (openai.OpenAIError, httpx.HTTPError, OSError) as error:
        raise Unavailable(f"{model} failed: {type(error).__name__}.") from error
