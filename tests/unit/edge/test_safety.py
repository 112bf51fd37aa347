"""A server that strangers can reach does not start with settings that let them in."""

from typing import Any

import pytest
from pydantic import SecretStr

from config.safety import Unsafe, check_safe, problems_of
from config.settings import settings

KEY = SecretStr("0123456789abcdef0123456789abcdef")


def production(**changed: Any) -> Any:
    return settings.model_copy(update={"environment": "production", "secret_key": KEY, **changed})


def test_a_key_of_ones_own_suffices() -> None:
    assert list(problems_of(production())) == []
    check_safe(production())


def test_the_local_stack_starts_with_what_it_has() -> None:
    assert list(problems_of(settings)) == []
    check_safe(settings)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"secret_key": settings.secret_key}, "SECRET_KEY"),
        ({"secret_key": SecretStr("short")}, "SECRET_KEY"),
        ({"secret_keys": SecretStr(f"{KEY.get_secret_value()},short")}, "SECRET_KEYS"),
        ({"service_token": SecretStr("short")}, "SERVICE_TOKEN"),
        ({"trust_gateway": True}, "TRUST_GATEWAY_ACKNOWLEDGED"),
        (
            {"fetch": settings.fetch.model_copy(update={"allow_loopback": True})},
            "FETCH_ALLOW_LOOPBACK",
        ),
    ],
)
def test_it_refuses(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(Unsafe) as refused:
        check_safe(production(**changed))
    assert told in str(refused.value)
    assert "short" not in str(refused.value).replace("short,", "")


def test_who_has_a_gateway_says_so() -> None:
    acknowledged = production(trust_gateway=True, trust_gateway_acknowledged=True)
    assert list(problems_of(acknowledged)) == []
