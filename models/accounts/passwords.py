"""Passwords, kept as Argon2id hashes only."""

import secrets
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_turns = BoundedSemaphore(4)  # hashes at once: each takes 19 MiB and a core


def hash_password(password: str) -> str:
    """Return a password's stored form, parameters and salt included."""
    with _turns:
        return _hasher.hash(password)


def is_outdated(stored: str) -> bool:
    """Say whether a hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def matches(password: str, stored: str | None) -> bool:
    """Say whether this is the password. Takes as long when there is none to compare with."""
    compared = stored or _nobodys()
    try:
        with _turns:
            return _hasher.verify(compared, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return hash_password(secrets.token_urlsafe(32))
