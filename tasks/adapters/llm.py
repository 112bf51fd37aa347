"""Chat models through LiteLLM, whatever the provider."""

import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, TypeVar

import litellm
from pydantic import BaseModel, ValidationError

from config.settings import settings
from config.tracing import Span
from models.errors import Unavailable
from tasks.adapters.litellm_client import connection_options, is_offline, relay, wait_for
from tasks.adapters.metering import Call, Meter, metered
from tasks.adapters.model_errors import BrokeOff, our_errors
from tasks.adapters.offline.provider import EXTRA
from tasks.adapters.prices import answer_at_most
from tasks.tools import Completion, Message, Purpose
from tasks.tracing import model_call, note_answer

M = TypeVar("M", bound=BaseModel)

FILL_TRIES = 2  # the second time the model sees what was wrong


class LiteLLM:
    """The tools `LLM` and `Structured`."""

    def name(self, purpose: Purpose) -> str:
        """Return the LiteLLM name of the model that serves `purpose`."""
        return str(getattr(settings.models, purpose))

    def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> Completion:
        """Return the whole answer. Raises Unavailable, ModelRefused."""
        request = self._request(messages, purpose, temperature, extra)
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        return _complete(request, purpose)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        form: type[BaseModel] | None = None,
        extra: dict[str, object] | None = None,
    ) -> Iterator[str]:
        """Yield the answer's pieces as they come, and "" while the model keeps us waiting.

        An answer that breaks off raises Unavailable after its pieces. Raises ModelRefused.
        """
        asked = [*messages, _instructions(form)] if form else messages
        request = self._request(asked, purpose, temperature, extra) | {"stream": True}
        if form is not None:
            request["response_format"] = form
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        if not is_offline(request["model"]):
            request["stream_options"] = {"include_usage": True}
        with (
            our_errors(request["model"]),
            metered(_call(request, purpose)) as meter,
            model_call("chat", request) as call,
        ):
            yield from relay(_pieces(request, meter, call))

    def fill(
        self,
        form: type[M],
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        extra: dict[str, object] | None = None,
    ) -> M:
        """Return `form`, filled in; a wrong answer is shown to the model once more.

        Raises Unavailable, ModelRefused.
        """
        asked = [*messages, _instructions(form)]
        for _ in range(FILL_TRIES):
            request = self._request(asked, purpose, temperature, extra)
            answer = _complete(request | {"response_format": form}, purpose).text
            try:
                return form.model_validate_json(_json_of(answer))
            except ValidationError as error:
                asked += [Message(role="assistant", content=answer), _complaint(error)]
        raise Unavailable(f"{self.name(purpose)} did not fill in {form.__name__}.")

    def _request(
        self,
        messages: Sequence[Message],
        purpose: Purpose,
        temperature: float,
        extra: dict[str, object] | None,
    ) -> dict[str, Any]:
        model = self.name(purpose)
        request: dict[str, Any] = {
            "model": model,
            "messages": [message.model_dump() for message in messages],
            "temperature": temperature,
            **connection_options(model),
        }
        # LiteLLM hands metadata to some providers, so the facts go to ours alone.
        return request | {"metadata": {EXTRA: extra}} if extra and is_offline(model) else request


def _complete(request: dict[str, Any], purpose: Purpose) -> Completion:
    model = request["model"]
    with (
        our_errors(model),
        metered(_call(request, purpose)) as meter,
        model_call("chat", request) as call,
    ):
        answer: Any = wait_for(litellm.acompletion(**request))
        note_answer(call, answer)
        meter.read(answer)
        text = answer.choices[0].message.content if answer.choices else None
        meter.pieces.append(text or "")
        if text is None:  # a call of a tool that we did not offer, or nothing at all
            raise BrokeOff
    usage = getattr(answer, "usage", None)
    return Completion(
        text=text,
        model=model,
        offline=is_offline(model),
        tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
        tokens_out=getattr(usage, "completion_tokens", 0) or 0,
    )


def _call(request: dict[str, Any], purpose: Purpose) -> Call:
    model = request["model"]
    return Call(
        model,
        purpose,
        prompt=[message["content"] for message in request["messages"]],
        answer_tokens=answer_at_most(model, request.get("max_tokens")),
        streamed=bool(request.get("stream")),
    )


async def _pieces(request: dict[str, Any], meter: Meter, call: Span) -> AsyncGenerator[str, None]:
    answer: Any = await litellm.acompletion(**request)
    try:
        async for chunk in answer:
            if getattr(chunk, "usage", None):
                note_answer(call, chunk)
            if chunk.choices and (text := chunk.choices[0].delta.content):
                meter.pieces.append(text)
                yield text
        # The wrapper makes up a last chunk when the provider's is missing; this it does not.
        if answer.received_finish_reason is None:
            raise BrokeOff
    finally:
        for chunk in answer.chunks:  # as they came: the wrapper makes up a count that is missing
            meter.read(chunk)
        await answer.aclose()


def _instructions(form: type[BaseModel]) -> Message:
    """Return what tells a model without structured outputs what to write."""
    schema = json.dumps(form.model_json_schema(), ensure_ascii=False)
    told = f"Answer with one JSON object that fits this JSON schema, and nothing else:\n{schema}"
    return Message(role="user", content=told)


def _complaint(error: ValidationError) -> Message:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = f"That does not fit the schema: {json.dumps(problems)}. Answer with the JSON again."
    return Message(role="user", content=told)


def _json_of(answer: str) -> str:
    """Return the JSON object in an answer, without what some models put around it."""
    return answer[answer.find("{") : answer.rfind("}") + 1]
