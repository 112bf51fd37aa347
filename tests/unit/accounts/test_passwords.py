from typing import Literal

import pytest
from argon2 import PasswordHasher, extract_parameters

from models.accounts import passwords
from models.accounts.passwords import hash_password, is_outdated, matches

PASSWORD = "correct horse battery"


def test_a_hash_knows_its_password_and_no_other() -> None:
    stored = hash_password(PASSWORD)

    assert matches(PASSWORD, stored)
    assert not matches("Correct horse battery", stored)
    assert not matches("", stored)
    assert not is_outdated(stored)
    assert hash_password(PASSWORD) != stored


def test_nobody_and_nonsense_match_nothing() -> None:
    assert not matches(PASSWORD, None)
    assert not matches(PASSWORD, "pbkdf2_sha256$1$x$y")


def test_unknown_people_cost_the_same_hash_as_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            compared.append(str(hash))
            return super().verify(hash, password)

    stored = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "_hasher", Watched())
    matches("a guess", stored)
    matches("a guess", None)

    known, unknown = compared
    assert extract_parameters(known) == extract_parameters(unknown)
    assert extract_parameters(unknown).memory_cost >= 19 * 1024
