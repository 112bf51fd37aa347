"""The public keys of a token issuer (JWKS, RFC 7517), fetched through the guarded client.

They are remembered. Who asks for a known key is never kept waiting; who asks for an unknown one
waits for one fetch at most, and there is at most one every ten seconds, whatever is asked.
"""

import json
import logging
import threading
import time
from functools import cache

from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from config.fetch import FetchProblem, GuardedClient
from config.settings import FetchSettings

logger = logging.getLogger(__name__)

FRESH_S = 600.0  # issuers announce new keys longer than that before they use them
STALE_S = 86_400.0  # so long old keys serve while the issuer is away
PAUSE_S = 10.0  # between two fetches
WAIT_S = 1.0  # for a fetch that somebody else has begun
LIMITS = FetchSettings(timeout_s=3.0, max_bytes=256 * 1024, max_redirects=0, allow_loopback=True)
ASYMMETRIC = ("RSA", "EC", "OKP")  # a shared secret does not belong among public keys


class KeysAway(Exception):
    """The issuer's keys have never been read, or not for a day."""


class IssuerKeys:
    """The keys behind one address."""

    def __init__(self, url: str, client: GuardedClient | None = None) -> None:
        """Fetch from `url` when first asked. The operator names it, so it may be this machine."""
        self._url = url
        self._client = client or GuardedClient(LIMITS)
        self._lock = threading.Lock()
        self._keys: dict[str | None, PyJWK] = {}
        self._read_at = self._tried_at = -STALE_S

    def find(self, kid: str | None) -> PyJWK | None:
        """Return the key of this id; without one the only key there is. Raises KeysAway."""
        known = kid in self._keys
        if not known or time.monotonic() - self._read_at > FRESH_S:
            self._renew(wait_s=0.0 if known else WAIT_S)
        if time.monotonic() - self._read_at > STALE_S or not self._keys:
            raise KeysAway
        return self._keys.get(kid)

    def _renew(self, *, wait_s: float) -> None:
        if not self._lock.acquire(timeout=wait_s):
            return
        try:
            if time.monotonic() - self._tried_at >= PAUSE_S:
                self._tried_at = time.monotonic()
                self._keys = self._fetched()
                self._read_at = time.monotonic()
        except (FetchProblem, PyJWTError, ValueError) as error:
            logger.warning("The keys of the token issuer cannot be read: %s", error)
        finally:
            self._lock.release()

    def _fetched(self) -> dict[str | None, PyJWK]:
        told = json.loads(self._client.download(self._url))
        if not isinstance(told, dict):
            raise ValueError("this is no set of keys")
        usable = [one for one in PyJWKSet.from_dict(told).keys if one.key_type in ASYMMETRIC]
        found: dict[str | None, PyJWK] = {one.key_id: one for one in usable}
        if len(usable) == 1:
            found[None] = usable[0]
        return found


@cache
def issuer_keys(url: str) -> IssuerKeys:
    """Return this process's memory of the keys at `url`."""
    return IssuerKeys(url)
