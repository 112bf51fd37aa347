"""A scripted provider whose models have prices, limits and budgets."""

from collections.abc import Callable

import pytest

from config.settings import LLMSettings, ModelSettings, settings
from config.spending import BudgetsSettings, ProvidersSettings
from models.costs import budgets as budgets_module
from models.costs import ledger
from tasks import buckets
from tests.scripted_model import Served

PRICES = ";".join(f"openai/{model}=1/2" for model in ("plain", "mute", "slow", "cut", "limited"))
Pay = Callable[..., None]


@pytest.fixture
def pay(served: Served, owner: None, monkeypatch: pytest.MonkeyPatch) -> Pay:
    """Have a scripted model asked, with other settings of `budgets` and `providers` if need be.

    Its price is one micro-dollar for a token asked, two for one answered.
    """
    from tasks.adapters import embeddings, litellm_client, llm, model_errors, prices

    def arrange(
        model: str = "plain", *, limits: str = "", max_wait_s: float = 5.0, **changes: object
    ) -> None:
        name = f"openai/{model}"
        changed = settings.model_copy(
            update={
                "models": ModelSettings(chat=name, embedding=name),
                "llm": LLMSettings.model_validate({"api_base": served.base, "api_key": "sk-1234"}),
                "budgets": BudgetsSettings.model_validate({"prices": PRICES} | changes),
                "providers": ProvidersSettings(limits=limits, max_wait_s=max_wait_s),
            }
        )
        modules = (embeddings, litellm_client, llm, model_errors, prices)
        for module in (*modules, budgets_module, ledger, buckets):
            monkeypatch.setattr(module, "settings", changed)

    arrange()
    return arrange
