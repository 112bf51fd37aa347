"""Get the token with which a person's device talks to the speech server.

The token opens paid services, so it is in no row of ours in clear: it is sealed for the one request
that waits for it (`config.crypto.Mailbox`), whose key ends with that request.
"""

from pydantic import BaseModel

from config.crypto import seal_for
from config.settings import settings
from tasks.pipeline import Pipeline, step
from tasks.tools import Speech

OPENING_S = 10.0  # longer nobody waits before speaking; an older token would reach nobody


class OpenVoiceSession(BaseModel):
    """For whom the token is sealed: the address of a mailbox."""

    mailbox: str


class Granted(BaseModel):
    """A token, sealed."""

    sealed: str


@step(queue="stream", max_attempts=2)
def grant(wanted: OpenVoiceSession, speech: Speech) -> Granted:
    """Ask for a token. Raises SpeechNotConfigured, Unavailable (retried), SpeechRefused."""
    token = speech.grant(ttl_s=settings.voice.token_ttl_s)
    return Granted(sealed=seal_for(wanted.mailbox, token))


open_voice_session = Pipeline(
    "goals.open_voice_session", grant, input=OpenVoiceSession, fused=True, deadline_s=OPENING_S
)
