"""The real path through LiteLLM, against a scripted server that speaks OpenAI's protocol."""

import threading
import time
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from models.errors import Unavailable
from tasks.refusals import ModelRefused
from tasks.tools import LLM, Message, Structured
from tests.integration.adapters.conftest import KEY, Configure
from tests.scripted_model import WORDS, ScriptedModel
from tests.suites.models import LLMSuite, StructuredSuite

ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Well?")]


class Sketch(BaseModel):
    summary: str
    personality_traits: list[str]


@pytest.fixture
def llm(configure: Configure) -> LLM:
    from tasks.adapters.llm import LiteLLM

    return LiteLLM()


@pytest.fixture
def forms(configure: Configure) -> Structured:
    from tasks.adapters.llm import LiteLLM

    return LiteLLM()


def wait_until(seen: "Iterator[bool]", timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if next(seen):
            return True
        time.sleep(0.01)
    return False


def test_an_answer_says_who_gave_it(llm: LLM, scripted: ScriptedModel) -> None:
    answer = llm.complete(ASKED, purpose="chat", temperature=0.3, max_tokens=7)
    assert answer.text == " ".join(WORDS)
    assert (answer.model, answer.offline) == ("openai/plain", False)
    assert (answer.tokens_in, answer.tokens_out) == (3, 5)
    body = scripted.bodies[0]
    assert body["messages"] == [turn.model_dump() for turn in ASKED]
    assert (body["temperature"], body["max_tokens"]) == (0.3, 7)
    assert scripted.keys == [KEY]


def test_facts_for_the_offline_model_never_leave_the_process(
    llm: LLM, scripted: ScriptedModel
) -> None:
    secret: dict[str, object] = {"task": "character_reply", "quotes": ["of the offline model only"]}
    llm.complete(ASKED, purpose="chat", extra=secret)
    "".join(llm.stream(ASKED, purpose="chat", extra=secret))
    assert "offline model only" not in str(scripted.bodies)
    assert all("metadata" not in body for body in scripted.bodies)


def test_a_stream_yields_the_pieces_as_they_were_sent(llm: LLM, scripted: ScriptedModel) -> None:
    pieces = [piece for piece in llm.stream(ASKED, purpose="chat", max_tokens=9) if piece]
    assert "".join(pieces) == scripted.expected()
    assert len(pieces) == scripted.tokens
    assert scripted.bodies[0]["max_tokens"] == 9


def test_pieces_come_when_they_are_sent_and_not_at_the_end(
    llm: LLM, scripted: ScriptedModel
) -> None:
    scripted.interval_s = 0.05
    times = [time.monotonic() for piece in llm.stream(ASKED, purpose="chat") if piece]
    assert times[-1] - times[0] > 0.8 * scripted.interval_s * scripted.tokens


def test_connections_are_used_again(llm: LLM, scripted: ScriptedModel) -> None:
    for _ in range(4):
        "".join(llm.stream(ASKED, purpose="chat"))
    assert len(scripted.connections) == 1


@pytest.mark.parametrize("model", ["cut", "reset"])
def test_an_answer_that_breaks_off_is_no_answer(
    llm: LLM, scripted: ScriptedModel, configure: Configure, model: str
) -> None:
    configure(model)
    pieces: list[str] = []
    with pytest.raises(Unavailable):
        pieces.extend(llm.stream(ASKED, purpose="chat"))
    assert "".join(pieces) == scripted.expected()[: len("".join(pieces))]
    assert len([piece for piece in pieces if piece]) == scripted.tokens // 2


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("model", "wait_s"), [("limited", 2.0), ("busy", 3.0), ("broken", None)])
def test_what_may_pass_is_unavailable_with_the_time_to_wait(
    llm: LLM,
    scripted: ScriptedModel,
    configure: Configure,
    model: str,
    wait_s: float | None,
    streaming: bool,
) -> None:
    configure(model)
    with pytest.raises(Unavailable) as caught:
        "".join(llm.stream(ASKED, purpose="chat")) if streaming else llm.complete(
            ASKED, purpose="chat"
        )
    assert caught.value.retry_after_s == wait_s
    assert scripted.calls[model] == 1, "the engine retries, nobody else"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("model", ["refused", "window", "locked", "lost"])
def test_what_will_never_be_taken_is_refused(
    llm: LLM, scripted: ScriptedModel, configure: Configure, model: str, streaming: bool
) -> None:
    configure(model)
    with pytest.raises(ModelRefused) as caught:
        "".join(llm.stream(ASKED, purpose="chat")) if streaming else llm.complete(
            ASKED, purpose="chat"
        )
    assert f"openai/{model}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert scripted.calls[model] == 1


def test_a_refusal_says_why(llm: LLM, configure: Configure) -> None:
    configure("window")
    with pytest.raises(ModelRefused, match="maximum context length is 8 tokens"):
        llm.complete(ASKED, purpose="chat")


@pytest.mark.parametrize("model", ["tools", "empty"])
def test_an_answer_without_words_is_no_answer(llm: LLM, configure: Configure, model: str) -> None:
    configure(model)
    with pytest.raises(Unavailable):
        llm.complete(ASKED, purpose="chat")


def test_a_server_that_is_not_there_is_unavailable(llm: LLM, configure: Configure) -> None:
    configure(api_base="http://127.0.0.1:9/v1")
    with pytest.raises(Unavailable):
        llm.complete(ASKED, purpose="chat")


@pytest.mark.parametrize("limit", ["timeout_s", "total_timeout_s"])
def test_a_model_that_hangs_is_given_up(llm: LLM, configure: Configure, limit: str) -> None:
    configure("hang", **{limit: 0.4})
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="took too long"):
        llm.complete(ASKED, purpose="chat")
    assert time.monotonic() - begun < 3.0


@pytest.mark.parametrize("limit", ["timeout_s", "total_timeout_s"])
def test_a_stream_that_stalls_is_given_up_after_its_pieces(
    llm: LLM, scripted: ScriptedModel, configure: Configure, limit: str
) -> None:
    configure("stall", **{limit: 0.4})
    pieces: list[str] = []
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        pieces.extend(llm.stream(ASKED, purpose="chat"))
    assert time.monotonic() - begun < 3.0
    assert len([piece for piece in pieces if piece]) == scripted.tokens // 2


def test_the_whole_length_of_a_stream_has_a_limit(
    llm: LLM, scripted: ScriptedModel, configure: Configure
) -> None:
    scripted.interval_s = 0.05
    configure("plain", total_timeout_s=0.5)
    with pytest.raises(Unavailable, match="took too long"):
        "".join(llm.stream(ASKED, purpose="chat"))


@pytest.mark.parametrize("model", ["hang", "stall"])
def test_a_reader_hears_from_a_model_that_hangs_and_may_leave(
    llm: LLM, scripted: ScriptedModel, configure: Configure, model: str
) -> None:
    configure(model)
    stream = llm.stream(ASKED, purpose="chat")
    begun = time.monotonic()
    assert "" in iter(lambda: next(stream), "never")
    assert time.monotonic() - begun < 2.0
    stream.close()  # type: ignore[attr-defined]
    if model == "stall":
        gone = iter(lambda: scripted.abandoned["stall"] == 1, None)
        assert wait_until(gone), "the server sees the connection end"


def test_leaving_in_mid_stream_ends_the_request(llm: LLM, scripted: ScriptedModel) -> None:
    scripted.tokens, scripted.interval_s = 2000, 0.01
    stream = llm.stream(ASKED, purpose="chat")
    for _ in range(5):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert wait_until(iter(lambda: scripted.abandoned["plain"] == 1, None))


def test_a_slow_reader_gets_every_piece(llm: LLM, scripted: ScriptedModel) -> None:
    scripted.tokens = 600
    pieces = []
    for piece in llm.stream(ASKED, purpose="chat"):
        pieces.append(piece)
        if len(pieces) < 5:
            time.sleep(0.05)
    assert "".join(pieces) == scripted.expected()


def test_many_threads_stream_at_once(llm: LLM, scripted: ScriptedModel) -> None:
    scripted.interval_s = 0.005
    texts: list[str] = []

    def read() -> None:
        texts.append("".join(llm.stream(ASKED, purpose="chat")))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [scripted.expected()] * 8


@pytest.mark.parametrize("model", ["plain", "fenced", "invalid"])
def test_a_form_comes_back_filled_in(
    forms: Structured, scripted: ScriptedModel, configure: Configure, model: str
) -> None:
    configure(model)
    assert forms.fill(Sketch, ASKED, purpose="analysis").personality_traits == ["kind"]
    schema = scripted.bodies[0]["response_format"]["json_schema"]["schema"]
    assert set(schema["properties"]) == {"summary", "personality_traits"}
    assert "personality_traits" in scripted.bodies[0]["messages"][-1]["content"]


def test_a_wrong_answer_is_shown_to_the_model_once(
    forms: Structured, scripted: ScriptedModel, configure: Configure
) -> None:
    configure("never")
    with pytest.raises(Unavailable, match="did not fill in Sketch"):
        forms.fill(Sketch, ASKED, purpose="analysis")
    assert scripted.calls["never"] == 2
    said, complaint = scripted.bodies[1]["messages"][-2:]
    assert said == {"role": "assistant", "content": "no JSON"}
    assert "does not fit" in complaint["content"]


def test_a_key_in_the_environment_is_not_sent_to_a_configured_address(
    llm: LLM, scripted: ScriptedModel, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    configure(api_key="")
    llm.complete(ASKED, purpose="chat")
    assert scripted.keys == ["none"]


class TestLiteLLM(LLMSuite, StructuredSuite):
    """The promises of every implementation."""
