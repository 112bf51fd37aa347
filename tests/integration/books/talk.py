"""Talking over HTTP, with jobs carried out in this process."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from models.errors import Unavailable
from tasks.toolbox import Tool
from tasks.tools import Message, Passage, Purpose
from tests.fakes import FakeLLM
from tests.inline import drain

PASSAGES = [
    Passage(
        id=f"p{k}",
        text=text,
        index=k,
        meta={"chapter": k // 2, "start": 100 * k},
    )
    for k, text in enumerate(
        [
            'Ann said, "I do like the rain in the morning."',
            "Bob walked to the sea and the sea was grey.",
            'Ann said, "Bob has never been to the sea."',
            "The sea rose in the night.",
            'Ann said, "He will die." The sea took Bob.',
            "Cass came from the sea and knew it all.",
        ]
    )
]


@dataclass(frozen=True, slots=True)
class Given(Tool):
    """A tool that is there already."""

    instance: Any = None

    def provide(self) -> Any:
        return self.instance


class Actor(FakeLLM):
    """Says "Reply 1.", "Reply 2." …; sums up; has no queries to offer."""

    def __init__(self) -> None:
        super().__init__("unused")
        self.said = 0
        self.pause: threading.Event | None = None  # set: the stream waits in its middle
        self.paused = threading.Event()

    def _answer(
        self, messages: Sequence[Message], purpose: Purpose, extra: dict[str, object] | None
    ) -> str | BaseModel:
        super()._answer(messages, purpose, extra)
        if purpose == "rewrite":
            raise Unavailable("No queries.")
        if purpose == "analysis":
            return f"{len(self.prompts('analysis'))} summaries."
        self.said += 1
        return f"Reply {self.said}."

    def stream(self, messages: Sequence[Message], **options: Any) -> Iterator[str]:
        for place, piece in enumerate(super().stream(messages, **options)):
            while place == 1 and self.pause is not None and not self.pause.is_set():
                self.paused.set()
                self.pause.wait(0.02)
                yield ""
            yield piece

    def prompts(self, purpose: Purpose = "chat") -> list[list[Message]]:
        return [asked for what, asked in self.asked if what == purpose]

    @property
    def system(self) -> str:
        """The last system prompt of a reply."""
        return self.prompts()[-1][0].content


@dataclass
class World:
    """The book and its cast."""

    book: UUID
    ids: dict[str, str] = field(default_factory=dict)


class Talk:
    """One conversation, over HTTP."""

    def __init__(self, client: httpx.AsyncClient, told: dict[str, Any]) -> None:
        self.client, self.told, self.id = client, told, told["session_id"]

    @classmethod
    async def begin(
        cls, client: httpx.AsyncClient, world: World, *names: str, **more: Any
    ) -> "Talk":
        first, *others = [world.ids[name] for name in names or ("Ann",)]
        body = {"character_id": first, "others": others} | more
        answer = await client.post("/chat-sessions", json=body)
        assert answer.status_code == 201, answer.text
        return cls(client, answer.json())

    async def say(self, message: str | None, **more: Any) -> list[dict[str, Any]]:
        body = more if message is None else {"message": message} | more
        return await reply(self.client, f"/chat-sessions/{self.id}/messages", body)

    async def messages(self, **page: Any) -> dict[str, Any]:
        answer = await self.client.get(f"/chat-sessions/{self.id}/messages", params=page)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def texts(self, **page: Any) -> list[str]:
        return [one["content"] for one in (await self.messages(**page))["messages"]]

    async def state(self) -> dict[str, Any]:
        told: dict[str, Any] = (await self.client.get(f"/chat-sessions/{self.id}")).json()
        return told


async def reply(client: httpx.AsyncClient, path: str, body: Any) -> list[dict[str, Any]]:
    """Return the frames of a reply's stream, with its job carried out meanwhile."""
    asked = asyncio.create_task(client.post(path, json=body))
    while not asked.done():
        await run_in_threadpool(drain)
        await asyncio.wait([asked], timeout=0.02)
    answer = asked.result()
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]
