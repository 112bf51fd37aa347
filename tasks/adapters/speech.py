"""Short-lived tokens of Deepgram's, with which a person's own device talks to it.

Source: https://developers.deepgram.com/reference/auth/tokens/grant
"""

from functools import cache
from ssl import SSLContext

import httpx

from config.products import DeepgramSettings
from config.retry_after import retry_after_s
from config.settings import settings
from models.errors import Unavailable
from models.goals.voice import SpeechNotConfigured
from tasks.refusals import SpeechRefused

PASSING = (408, 425, 429)  # and everything from 500 on


class Deepgram:
    """The server of the settings. Its key and tokens are in no message and no log line."""

    def __init__(self, deepgram: DeepgramSettings | None = None) -> None:
        """Use `deepgram` (default: `DEEPGRAM_API_KEY` and the rest)."""
        self._deepgram = deepgram or settings.deepgram

    def grant(self, *, ttl_s: int) -> str:
        """Return a token that lives for `ttl_s` seconds.

        Raises SpeechNotConfigured, Unavailable (the server is away, or says "later"), SpeechRefused
        (it does not take our key).
        """
        key = self._deepgram.api_key.get_secret_value()
        if not key:
            raise SpeechNotConfigured()
        try:
            answer = httpx.post(
                f"{self._deepgram.api_base.rstrip('/')}/v1/auth/grant",
                headers={"Authorization": f"Token {key}"},
                json={"ttl_seconds": ttl_s},
                timeout=self._deepgram.timeout_s,
                verify=_trust(),
            )
        except httpx.HTTPError as error:  # it may quote the request: its name is enough
            raise Unavailable(
                f"The speech server cannot be reached ({type(error).__name__})."
            ) from None
        return _token(answer)


@cache
def _trust() -> SSLContext:
    """Return what certificates are checked with; reading them takes up to 0.2 s."""
    return httpx.create_ssl_context()


def _token(answer: httpx.Response) -> str:
    status = answer.status_code
    if status in PASSING or status >= 500:
        wait = retry_after_s(answer.headers.get("retry-after"))
        told = f"The speech server answered with status {status}."
        raise Unavailable(told, retry_after_s=wait)
    if not answer.is_success:
        raise SpeechRefused(
            f"The speech server refused DEEPGRAM_API_KEY (status {status}).", status=status
        )
    try:
        token = answer.json()["access_token"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str) or not token:
        raise Unavailable("The speech server answered without a token.")
    return token
