"""Chat models through LiteLLM, whatever the provider."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import litellm
from pydantic import BaseModel, ValidationError

from config.settings import settings
from models.errors import Unavailable
from tasks.adapters.litellm_client import OFFLINE, connection_options, our_errors
from tasks.tools import Completion, Message, Purpose

M = TypeVar("M", bound=BaseModel)


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
        return self._complete(messages, purpose, temperature, max_tokens, extra)

    def _complete(
        self,
        messages: Sequence[Message],
        purpose: Purpose,
        temperature: float,
        max_tokens: int | None,
        extra: dict[str, object] | None,
        **more: Any,
    ) -> Completion:
        model = self.name(purpose)
        with our_errors(model):
            answer: Any = litellm.completion(
                **self._request(messages, purpose, temperature, max_tokens, extra), **more
            )
        usage = getattr(answer, "usage", None)
        return Completion(
            text=answer.choices[0].message.content or "",
            model=model,
            offline=model.startswith(OFFLINE),
            tokens_in=getattr(usage, "prompt_tokens", 0) or 0,
            tokens_out=getattr(usage, "completion_tokens", 0) or 0,
        )

    def stream(
        self,
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, object] | None = None,
    ) -> Iterator[str]:
        """Yield the answer's pieces as they come.

        An answer that breaks off before its end, or takes too long, raises Unavailable.
        """
        model = self.name(purpose)
        give_up = time.monotonic() + settings.llm.total_timeout_s
        complete = False
        with our_errors(model):
            request = self._request(messages, purpose, temperature, max_tokens, extra)
            answer: Any = litellm.completion(**request, stream=True)
            try:
                for chunk in answer:
                    choice = chunk.choices[0]
                    if choice.delta.content:
                        yield choice.delta.content
                    complete = complete or choice.finish_reason is not None
                    if time.monotonic() > give_up:
                        raise Unavailable(f"{model} took longer than it may.")
            finally:
                close = getattr(answer.completion_stream, "close", None)
                if close is not None:
                    close()
        if not complete:
            raise Unavailable(f"The answer of {model} broke off.")

    def fill(
        self,
        form: type[M],
        messages: Sequence[Message],
        *,
        purpose: Purpose,
        temperature: float = 0.0,
        extra: dict[str, object] | None = None,
    ) -> M:
        """Return `form`, filled in; a wrong answer is shown to the model once more."""
        asked = list(messages)
        for _ in range(2):
            answer = self._complete(
                asked, purpose, temperature, None, extra, response_format=form
            ).text
            try:
                return form.model_validate_json(_json_of(answer))
            except ValidationError as error:
                problems = error.errors(include_url=False, include_input=False)
                asked += [
                    Message(role="assistant", content=answer),
                    Message(role="user", content=f"That does not fit the form: {problems}. Again."),
                ]
        raise Unavailable(f"{self.name(purpose)} did not fill in {form.__name__}.")

    def _request(
        self,
        messages: Sequence[Message],
        purpose: Purpose,
        temperature: float,
        max_tokens: int | None,
        extra: dict[str, object] | None,
    ) -> dict[str, Any]:
        model = self.name(purpose)
        request: dict[str, Any] = {
            "model": model,
            "messages": [message.model_dump() for message in messages],
            "temperature": temperature,
            **connection_options(model),
        }
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        if extra and model.startswith(OFFLINE):
            request["facts"] = extra  # for our own provider only
        return request


def _json_of(answer: str) -> str:
    """Return the JSON object in an answer, without what some models put around it."""
    return answer[answer.find("{") : answer.rfind("}") + 1]
