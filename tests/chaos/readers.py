"""People who follow a job's stream, lose their connection again and again, and miss nothing."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from httpx_sse import SSEError, aconnect_sse

READ_TIMEOUT_S = 6.0  # pings come less often, so a reader that hears nothing comes again
LOSES_PATIENCE = 0.01  # with so much of a chance at each frame a reader hangs up by himself
PAUSE_S = 0.2
ENDS = "end"


@dataclass
class Reading:
    """What one reader has read of one job."""

    job_id: UUID
    ids: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)  # (type, data), tokens left out
    pieces: list[str] = field(default_factory=list)
    connections: int = 0
    finished: bool = False

    @property
    def text(self) -> str:
        """The text that was read."""
        return "".join(self.pieces)

    def take(self, id: str, kind: str, data: dict[str, Any], raw: str) -> None:
        """Add one frame."""
        self.finished = kind == ENDS
        if kind == "token":
            self.ids.append(id)
            self.pieces.append(data["token"])
        elif kind == "reset":
            self.pieces.clear()
        else:
            self.events.append((kind, raw))

    def doubles(self) -> int:
        """How many tokens were told more than once."""
        return len(self.ids) - len(set(self.ids))


async def follow(
    client: httpx.AsyncClient, job_id: UUID, dice: random.Random, *, patient: bool = False
) -> Reading:
    """Read a job's stream to its end, over as many connections as it takes."""
    reading, last = Reading(job_id), ""
    while not reading.finished:
        reading.connections += 1
        headers = {"Last-Event-ID": last} if last else {}
        try:
            async with aconnect_sse(
                client, "GET", f"/jobs/{job_id}/events", headers=headers, timeout=READ_TIMEOUT_S
            ) as source:
                if source.response.status_code == 204:
                    reading.finished = True
                    break
                source.response.raise_for_status()
                async for frame in source.aiter_sse():
                    if frame.event == "message" or not frame.data:
                        continue
                    reading.take(frame.id, frame.event, frame.json(), frame.data)
                    last = frame.id
                    if not patient and dice.random() < LOSES_PATIENCE:
                        break
        except (httpx.HTTPError, SSEError):
            await asyncio.sleep(dice.uniform(0, PAUSE_S))
    return reading
