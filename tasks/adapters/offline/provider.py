"""LiteLLM's way to the model that lives in this process."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import (
    Choices,
    EmbeddingResponse,
    GenericStreamingChunk,
    Message,
    ModelResponse,
    Usage,
)

from tasks.adapters.offline.answers import answer
from tasks.adapters.offline.hashing import hashed

EXTRA = "longrun"  # the key of the request's metadata under which our pipelines put the facts
PIECE = re.compile(r"\s*\S+")


class OfflineProvider(CustomLLM):
    """Own words and hashed vectors behind LiteLLM's interface.

    LiteLLM passes everything by keyword; the answers themselves are made in a thread, because the
    loop carries the answers of other providers meanwhile.
    """

    async def acompletion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Answer at once."""
        text = await asyncio.to_thread(_answer, kwargs)
        asked = sum(len(str(turn.get("content") or "").split()) for turn in kwargs["messages"])
        said = len(text.split())
        response: ModelResponse = kwargs["model_response"]
        response.model = kwargs["model"]
        response.choices = [
            Choices(finish_reason="stop", index=0, message=Message(content=text, role="assistant"))
        ]
        usage = Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)
        setattr(response, "usage", usage)  # noqa: B010 — not among the declared fields
        return response

    async def astreaming(  # type: ignore[override] # LiteLLM iterates it, whatever it declares
        self, *args: Any, **kwargs: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        """Answer word by word."""
        for piece in PIECE.findall(await asyncio.to_thread(_answer, kwargs)):
            yield _chunk(piece)
            await asyncio.sleep(0)  # lets a cancel in
        yield _chunk("", last=True)

    async def aembedding(self, *args: Any, **kwargs: Any) -> EmbeddingResponse:
        """Hash the words of each text into a vector."""
        vectors = await asyncio.to_thread(lambda: [hashed(text) for text in kwargs["input"]])
        response: EmbeddingResponse = kwargs["model_response"]
        response.model = kwargs["model"]
        response.data = [
            {"object": "embedding", "index": place, "embedding": vector}
            for place, vector in enumerate(vectors)
        ]
        return response


def _answer(kwargs: dict[str, Any]) -> str:
    metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
    form = (kwargs.get("optional_params") or {}).get("response_format") or {}
    schema = form.get("json_schema", {}).get("schema")
    return answer(metadata.get(EXTRA) or {}, kwargs["messages"], schema)


def _chunk(text: str, *, last: bool = False) -> GenericStreamingChunk:
    return {
        "text": text,
        "is_finished": last,
        "finish_reason": "stop" if last else "",
        "usage": None,
        "index": 0,
        "tool_use": None,
    }
