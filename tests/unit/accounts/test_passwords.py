import time

from models.accounts.passwords import hash_password, is_outdated, matches

PASSWORD = "correct horse battery"


def fastest(password: str, stored: str | None, times: int = 7) -> float:
    """Seconds of the fastest of several comparisons: what else runs here only adds."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        matches(password, stored)
        found.append(time.perf_counter() - began)
    return min(found)


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


def test_unknown_people_take_as_long_to_refuse_as_known_ones() -> None:
    stored = hash_password(PASSWORD)
    matches("warm up", None)

    known, unknown = fastest("a guess", stored), fastest("a guess", None)

    assert 0.67 < known / unknown < 1.5
    assert unknown > 0.002
