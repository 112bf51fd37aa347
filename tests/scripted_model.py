"""A scripted model server on loopback that speaks OpenAI's protocol.

Also a program: `python -m tests.scripted_model --port N`.

What it does is told by the model's name:

plain, slow     answer, slowly
clock           answer with the times at which the pieces were sent
cut, reset      break off in mid-stream: cleanly, or with the connection
hang, stall     send nothing for a while: from the start, or from mid-stream on
limited, busy   429 and 503, both with Retry-After
broken          500
refused, window, locked, lost    400, 400 for the length, 401, 404
tools, empty    answer with a call of a tool, and with no choice at all
invalid, never  not JSON the first time, or ever, where JSON is asked for
fenced          JSON with words around it
beyond          rank a document that was not there
mute            never say how many tokens a stream has had
planner         a week of a plan, as the goal's first word says (`tests.scripted_planner`)

It counts its calls by model, keeps the bodies, and counts the streams that their reader gave up.
"""

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests import scripted_planner
from tests.ports import free_port

WORDS = ["It", "is", "a", "truth", "universally", "acknowledged", "that", "nothing", "is", "lost"]
ANALYSIS = {"summary": "A person.", "personality_traits": ["kind"], "speech_style": "Plain."}


ERRORS: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "limited": (429, {"Retry-After": "2"}, {"message": "scripted"}),
    "busy": (503, {"Retry-After": "3"}, {"message": "scripted"}),
    "broken": (500, {}, {"message": "scripted"}),
    "refused": (400, {}, {"message": "no such thing as this"}),
    "window": (
        400,
        {},
        {
            "message": "This model's maximum context length is 8 tokens.",
            "code": "context_length_exceeded",
        },
    ),
    "locked": (401, {}, {"message": "Incorrect API key provided: {key}."}),
    "lost": (404, {}, {"message": "The model does not exist."}),
}
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "nobody_offered_this", "arguments": '{"broken": '},
}
HANG_S = 30.0


class ScriptedModel:
    """The server and what it has seen."""

    def __init__(self, *, tokens: int = 40, interval_s: float = 0.0) -> None:
        self.tokens, self.interval_s = tokens, interval_s
        self.calls: Counter[str] = Counter()
        self.abandoned: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/v1/rerank", self.rerank, methods=["POST"]),
                Route("/v2/rerank", self.rerank, methods=["POST"]),  # Cohere's
            ]
        )

    async def _seen(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.calls[body["model"]] += 1
        self.bodies.append(body)
        self.keys.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        assert request.client is not None
        self.connections.add((request.client.host, request.client.port))
        return body

    async def chat(self, request: Request) -> Response:
        body = await self._seen(request)
        model = body["model"]
        if model in ERRORS:
            return self._error(model)
        if model == "hang":
            await asyncio.sleep(HANG_S)
        if model == "planner":
            text, reason = scripted_planner.week_of(body)
            return StreamingResponse(self.speak(text, reason), media_type="text/event-stream")
        if body.get("stream"):
            wanted = (body.get("stream_options") or {}).get("include_usage", False)
            stream = self.stream(model, usage=wanted and model != "mute")
            return StreamingResponse(stream, media_type="text/event-stream")
        return JSONResponse(self.whole(model, body))

    def _error(self, model: str) -> Response:
        status, headers, error = ERRORS[model]
        told = {"type": "scripted", "code": None} | error
        told["message"] = str(told["message"]).format(key=self.keys[-1])
        return JSONResponse({"error": told}, status_code=status, headers=headers)

    def whole(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._text(model, body)}
        if model == "tools":
            message |= {"content": None, "tool_calls": [TOOL_CALL]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [] if model == "empty" else [choice],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        }

    def _text(self, model: str, body: dict[str, Any]) -> str:
        if "response_format" not in body:
            return " ".join(WORDS)
        if model == "never" or (model == "invalid" and self.calls[model] == 1):
            return "no JSON"
        text = json.dumps(ANALYSIS)
        return f"Gladly:\n```json\n{text}\n```" if model == "fenced" else text

    async def stream(self, model: str, *, usage: bool = False) -> AsyncIterator[bytes]:
        whole = False
        try:
            for k in range(self.tokens):
                if k == self.tokens // 2:
                    if model == "cut":
                        whole = True
                        return
                    if model == "reset":
                        raise ConnectionResetError
                    if model == "stall":
                        await asyncio.sleep(HANG_S)
                if pause := 0.05 if model == "slow" else self.interval_s:
                    await asyncio.sleep(pause)
                word = repr(time.time()) if model == "clock" else WORDS[k % len(WORDS)]
                yield self._chunk(model, {"content": f"{word} "}, None)
            yield self._chunk(model, {}, "stop")
            if usage:
                yield self._usage(model)
            yield b"data: [DONE]\n\n"
            whole = True
        finally:
            self.abandoned[model] += not whole

    async def speak(self, text: str, reason: str) -> AsyncIterator[bytes]:
        """Stream a text in small pieces."""
        for k in range(0, len(text), 16):
            await asyncio.sleep(self.interval_s)
            yield self._chunk("planner", {"content": text[k : k + 16]}, None)
        yield self._chunk("planner", {}, reason)
        yield b"data: [DONE]\n\n"

    def _usage(self, model: str) -> bytes:
        counts = {
            "prompt_tokens": 30,
            "completion_tokens": self.tokens,
            "total_tokens": 30 + self.tokens,
            "prompt_tokens_details": {"cached_tokens": 20},
        }
        told = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model}
        return f"data: {json.dumps(told | {'choices': [], 'usage': counts})}\n\n".encode()

    def _chunk(self, model: str, delta: dict[str, str], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        told = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model}
        return f"data: {json.dumps(told | {'choices': [choice]})}\n\n".encode()

    async def embed(self, request: Request) -> Response:
        body = await self._seen(request)
        if body["model"] in ERRORS:
            return self._error(body["model"])
        rows = [
            {
                "object": "embedding",
                "index": k,
                "embedding": [float(len(text)), 1.0, float(sum(map(ord, text)) % 97), 0.5],
            }
            for k, text in enumerate(body["input"])
        ]
        return JSONResponse(
            {
                "object": "list",
                "data": rows,
                "model": body["model"],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        )

    async def rerank(self, request: Request) -> Response:
        body = await self._seen(request)
        if body["model"] in ERRORS:
            return self._error(body["model"])
        if body["model"] == "hang":
            await asyncio.sleep(HANG_S)
        wanted = set(body["query"].split())
        shares = [len(wanted & set(text.split())) / len(wanted) for text in body["documents"]]
        best = sorted(range(len(shares)), key=lambda k: -shares[k])[: body["top_n"]]
        rows = [{"index": k, "relevance_score": shares[k]} for k in best]
        if body["model"] == "beyond":
            rows[0]["index"] = len(shares)
        return JSONResponse({"id": "x", "results": rows, "meta": {}})

    def expected(self) -> str:
        """The text of a whole stream."""
        return "".join(f"{WORDS[k % len(WORDS)]} " for k in range(self.tokens))


class Application(Protocol):
    """Whatever has an ASGI application."""

    app: Starlette


class Served:
    """A scripted server served from a thread."""

    def __init__(self, model: Application) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}/v1"
        config = uvicorn.Config(model.app, port=self.port, log_level="critical", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> "Served":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--interval", type=float, default=0.01)
    given = parser.parse_args()
    scripted = ScriptedModel(tokens=given.tokens, interval_s=given.interval)
    uvicorn.run(scripted.app, port=given.port, log_level="error")
