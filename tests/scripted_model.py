"""A scripted model server on loopback that speaks OpenAI's protocol.

Also a program: `python -m tests.scripted_model --port N`.

What it does is told by the model's name: `plain`, `slow`, `cut` (breaks off in mid-stream), `hang`,
`limited` (429 with Retry-After), `broken` (500), `refused` (400), `invalid` (no JSON first, then
what was asked), and for embeddings `embed`. It counts its calls by model.
"""

import argparse
import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ["It", "is", "a", "truth", "universally", "acknowledged", "that", "nothing", "is", "lost"]
ANALYSIS = {"summary": "A person.", "personality_traits": ["kind"], "speech_style": "Plain."}


class ScriptedModel:
    """The server and what it has seen."""

    def __init__(self, *, tokens: int = 40, interval_s: float = 0.0) -> None:
        self.tokens, self.interval_s = tokens, interval_s
        self.calls: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
            ]
        )

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        model = body["model"]
        self.calls[model] += 1
        self.bodies.append(body)
        error = {
            "limited": (429, {"Retry-After": "2"}),
            "broken": (500, {}),
            "refused": (400, {}),
        }.get(model)
        if error:
            told = {"error": {"message": "scripted", "type": "scripted", "code": None}}
            return JSONResponse(told, status_code=error[0], headers=error[1])
        if model == "hang":
            await asyncio.sleep(30)
        if body.get("stream"):
            return StreamingResponse(self.stream(model), media_type="text/event-stream")
        return JSONResponse(self.whole(model, body))

    def whole(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        text = " ".join(WORDS)
        if "response_format" in body:
            text = json.dumps(ANALYSIS)
            if model == "invalid" and self.calls[model] == 1:
                text = "no JSON"
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        }

    async def stream(self, model: str) -> AsyncIterator[bytes]:
        for k in range(self.tokens):
            if model == "cut" and k == self.tokens // 2:
                return
            if model == "slow":
                await asyncio.sleep(0.05)
            elif self.interval_s:
                await asyncio.sleep(self.interval_s)
            yield self._chunk(model, {"content": f"{WORDS[k % len(WORDS)]} "}, None)
        yield self._chunk(model, {}, "stop")
        yield b"data: [DONE]\n\n"

    def _chunk(self, model: str, delta: dict[str, str], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        told = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model}
        return f"data: {json.dumps(told | {'choices': [choice]})}\n\n".encode()

    async def embed(self, request: Request) -> Response:
        body = await request.json()
        self.calls[body["model"]] += 1
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

    def expected(self) -> str:
        """The text of a whole stream."""
        return "".join(f"{WORDS[k % len(WORDS)]} " for k in range(self.tokens))


class Served:
    """A scripted model served from a thread."""

    def __init__(self, model: ScriptedModel) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/v1"
        config = uvicorn.Config(model.app, port=self.port, log_level="error", lifespan="off")
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
