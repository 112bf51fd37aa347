"""Sealing what must be stored and read again: other people's secrets.

The keys are `SECRET_KEYS`, newest first; without any, `SECRET_KEY`. The newest seals, all of them
unseal. To change keys: put a new one in front, restart, run `python -m api.rotate`, drop the old.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.settings import listed, settings

PURPOSE = b"longrun: sealing"  # keeps these keys apart from all else that is made of the same ones


class Unsealable(Exception):
    """This was sealed with a key that is not among SECRET_KEYS, or has been tampered with."""


def seal(secret: str) -> str:
    """Return `secret` encrypted and authenticated, as text that can be stored."""
    return _keys().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Return what was sealed. Raises Unsealable."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unsealable from None


def reseal(sealed: str) -> str:
    """Return the same secret sealed with the newest key. Raises Unsealable."""
    try:
        return _keys().rotate(sealed.encode()).decode()
    except InvalidToken:
        raise Unsealable from None


def _keys() -> MultiFernet:
    keys = listed(settings.secret_keys.get_secret_value())
    return _derived(tuple(keys) or (settings.secret_key.get_secret_value(),))


@cache
def _derived(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derive(key)) for key in keys])


def _derive(key: str) -> bytes:
    """Return a Fernet key for a key of any form (HKDF, RFC 5869)."""
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(made)
