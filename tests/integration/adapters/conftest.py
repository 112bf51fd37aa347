"""The adapters against what they adapt: a scripted model on loopback, a real Postgres."""

from collections.abc import Callable

import pytest

from config.settings import LLMSettings, ModelSettings, settings
from tests.scripted_model import Served

KEY = "sk-of-the-test-0123456789"
Configure = Callable[..., None]


@pytest.fixture
def configure(served: Served, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Point the adapters at the scripted model of a name, with other `LLM_` settings if need be."""
    from tasks.adapters import embeddings, litellm_client, llm, model_errors, rerank

    def point(model: str = "plain", provider: str = "openai", **changes: object) -> None:
        name = f"{provider}/{model}"
        reached = {"api_base": served.base, "api_key": KEY} | changes
        changed = settings.model_copy(
            update={
                "models": ModelSettings(
                    chat=name, analysis=name, rewrite=name, embedding=name, rerank=name
                ),
                "llm": LLMSettings.model_validate(reached),
            }
        )
        for module in (embeddings, litellm_client, llm, model_errors, rerank):
            monkeypatch.setattr(module, "settings", changed)

    point()
    return point
