"""Settings of what models may cost, and of how often their providers may be asked."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from config.group import Group


def _positive(amount: str) -> str:
    if amount and Decimal(amount) <= 0:
        raise ValueError("a budget is more than nothing; empty: no limit")
    return amount


# dollars, as 2.50; empty: no limit
Dollars = Annotated[
    str, StringConstraints(pattern=r"^(\d{1,6}(\.\d{1,6})?)?$"), AfterValidator(_positive)
]
# "openai/own=0.5/1.5;…": dollars per million tokens, asked and answered
Prices = Annotated[
    str,
    StringConstraints(
        pattern=r"^([^=;\s]+=\d{1,6}(\.\d{1,6})?/\d{1,6}(\.\d{1,6})?(;\s*|$))*$",
    ),
]
# "openai/gpt-4o=500rpm,200000tpm;anthropic=50rpm"
ProviderLimits = Annotated[
    str, StringConstraints(pattern=r"^([^=;\s]+=[1-9]\d*[rt]pm(,[1-9]\d*[rt]pm)?(;\s*|$))*$")
]


class BudgetsSettings(Group):
    """What one person may spend on models, unless a row of theirs says something else."""

    daily_usd: Dollars = ""
    monthly_usd: Dollars = ""
    answer_tokens: int = 4096  # reserved for an answer whose length the caller leaves open
    unknown_price: Literal["allow", "refuse"] = "allow"  # where a budget applies
    prices: Prices = ""  # of models that LiteLLM has no price for


class ProvidersSettings(Group):
    """How often all workers together may ask a provider, or one of its models."""

    limits: ProviderLimits = ""
    max_wait_s: float = 5.0  # who would wait longer is tried again later, and holds no worker
