"""`.env.example` and the settings class say the same."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from config.settings import Settings
from tests.environment import SETTING_PREFIXES

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


def documented() -> dict[str, str]:
    lines = (line for line in EXAMPLE.read_text().splitlines() if line and line[0] != "#")
    pairs = [(name, value) for name, _, value in (line.partition("=") for line in lines)]
    assert len(pairs) == len(dict(pairs)), "a setting stands there twice"
    return dict(pairs)


def declared() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            for inner, value in type(field.default).model_fields.items():
                found[f"{name}_{inner}".upper()] = value.default
        else:
            found[name.upper()] = field.default
    return found


def shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_every_setting_is_documented_with_its_default() -> None:
    assert documented() == {name: shown(value) for name, value in declared().items()}


def test_tests_ignore_every_setting_of_the_user() -> None:
    assert all(name.startswith(SETTING_PREFIXES) for name in declared())
