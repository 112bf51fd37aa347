import pytest
from pydantic import SecretStr

from config.crypto import Unsealable, reseal, seal, unseal
from config.settings import settings

OLD, NEW = "an old key of thirty-two characters", "a new key of thirty-two characters"


def use(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    changed = settings.model_copy(update={"secret_keys": SecretStr(keys)})
    monkeypatch.setattr("config.crypto.settings", changed)


def test_what_was_sealed_can_be_read_again_and_looks_different_each_time() -> None:
    first, second = seal("sk-secret"), seal("sk-secret")

    assert first != second
    assert "secret" not in first
    assert unseal(first) == unseal(second) == "sk-secret"


def test_an_older_key_still_unseals_until_it_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, OLD)
    sealed = seal("sk-secret")

    use(monkeypatch, f"{NEW}, {OLD}")
    assert unseal(sealed) == "sk-secret"
    renewed = reseal(sealed)

    use(monkeypatch, NEW)
    assert unseal(renewed) == "sk-secret"
    with pytest.raises(Unsealable):
        unseal(sealed)
    with pytest.raises(Unsealable):
        reseal(sealed)


def test_the_signing_key_seals_where_no_other_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal("sk-secret")

    use(monkeypatch, settings.secret_key.get_secret_value())
    assert unseal(sealed) == "sk-secret"


@pytest.mark.parametrize("change", [lambda text: text[:-4] + "AAA=", lambda _: "", lambda _: "é"])
def test_what_was_tampered_with_is_not_read(change: object) -> None:
    assert callable(change)
    with pytest.raises(Unsealable):
        unseal(change(seal("sk-secret")))
