"""Sealing what must be stored and read again: other people's secrets. And, with a `Mailbox`, what
must be stored on its way to one request only.

The keys are `SECRET_KEYS`, newest first; without any, `SECRET_KEY`. The newest seals, all of them
unseal. To change keys: put a new one in front, restart, run `python -m api.rotate`, drop the old.
"""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.settings import listed, settings

PURPOSE = b"longrun: sealing"  # keeps these keys apart from all else that is made of the same ones
POST = b"longrun: mailbox"
ADDRESS_BYTES = 32  # of a public key


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
    return MultiFernet([Fernet(_derive(key.encode())) for key in keys])


class Mailbox:
    """Whoever knows its address can put a secret in; only this process, and only now, can read it.

    The key is nowhere but in memory: once this object is gone, what was sealed for it is noise,
    also to whoever has SECRET_KEYS and the database. (X25519, HKDF, Fernet.)
    """

    def __init__(self) -> None:
        """Make a new pair of keys."""
        self._key = X25519PrivateKey.generate()
        self.address = base64.urlsafe_b64encode(self._key.public_key().public_bytes_raw()).decode()

    def open(self, sealed: str) -> str:
        """Return what was sealed for this address. Raises Unsealable."""
        try:
            sender = X25519PublicKey.from_public_bytes(_unpacked(sealed[: len(self.address)]))
            shared = _derive(self._key.exchange(sender), POST)
            return Fernet(shared).decrypt(sealed[len(self.address) :].encode()).decode()
        except (InvalidToken, ValueError):
            raise Unsealable from None


def seal_for(address: str, secret: str) -> str:
    """Return `secret`, readable by the mailbox of this address only. Raises ValueError."""
    sender = Mailbox()
    shared = sender._key.exchange(X25519PublicKey.from_public_bytes(_unpacked(address)))
    return sender.address + Fernet(_derive(shared, POST)).encrypt(secret.encode()).decode()


def _unpacked(address: str) -> bytes:
    key = base64.urlsafe_b64decode(address)
    if len(key) != ADDRESS_BYTES:
        raise ValueError("this is no address of a mailbox")
    return key


def _derive(key: bytes, purpose: bytes = PURPOSE) -> bytes:
    """Return a Fernet key for a key of any form (HKDF, RFC 5869)."""
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)
    return base64.urlsafe_b64encode(made)
