"""The tool `Speech`; with a scripted server in tests/integration/goals/test_voice_sessions.py."""

import pytest
from pydantic import SecretStr

from config.crypto import Mailbox, Unsealable, seal_for
from config.products import DeepgramSettings
from models.goals.voice import SpeechNotConfigured
from pipelines.goals.open_voice_session import OpenVoiceSession, grant
from tasks.adapters.speech import Deepgram


class FakeSpeech:
    def grant(self, *, ttl_s: int) -> str:
        return f"token for {ttl_s} s"


def test_only_the_request_that_waits_can_read_the_token() -> None:
    mailbox, other = Mailbox(), Mailbox()

    granted = grant(OpenVoiceSession(mailbox=mailbox.address), FakeSpeech())

    assert "token" not in granted.model_dump_json()
    assert mailbox.open(granted.sealed) == "token for 3600 s"
    for wrong in (other, Mailbox()):
        with pytest.raises(Unsealable):
            wrong.open(granted.sealed)


def test_what_was_tampered_with_is_not_read() -> None:
    mailbox = Mailbox()
    sealed = seal_for(mailbox.address, "secret")
    for wrong in ("", "x", sealed[:-8], sealed[:60] + "AAAA" + sealed[64:], "A" * 44 + sealed[44:]):
        with pytest.raises(Unsealable):
            mailbox.open(wrong)


@pytest.mark.parametrize("address", ["", "AAAA", "no address", "A" * 400])
def test_nothing_is_sealed_for_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — of whichever library
        seal_for(address, "secret")


def test_without_a_key_nobody_is_asked() -> None:
    with pytest.raises(SpeechNotConfigured, match="DEEPGRAM_API_KEY"):
        Deepgram(DeepgramSettings(api_key=SecretStr(""), api_base="http://127.0.0.1:1")).grant(
            ttl_s=1
        )
