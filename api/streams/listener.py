"""This process's one pub/sub connection."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import redis
import redis.asyncio as aioredis

from config.redis import channel

logger = logging.getLogger(__name__)

LIFELINE = "longrun:lifeline"  # subscribed to always, so that the connection is never idle
PING_S = 5.0  # a connection that is silent for two of these is given up
CUT_OFF_S = 0.05  # before the first attempt to connect again
AWAY_S = 0.5  # before each further one


class Listener:
    """Keeps the wanted jobs' channels subscribed while Redis comes and goes."""

    def __init__(
        self, client: aioredis.Redis, heard: Callable[[UUID, bytes], None], lost: Callable[[], None]
    ) -> None:
        """Call `heard` with each message, and with b"" when a subscription has begun.

        `lost` is called when messages may have been missed.
        """
        self.connected = False
        self._client, self._heard, self._lost = client, heard, lost
        self._wanted: dict[str, UUID] = {}
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()
        self._talked = False

    def want(self, job_id: UUID) -> bool:
        """Subscribe to a job's channel; say whether `heard` will be called when that has begun."""
        name = channel(job_id)
        self._wanted[name] = job_id
        self._changed.set()
        return self.connected and name not in self._subscribed

    def drop(self, job_id: UUID) -> None:
        """Unsubscribe from a job's channel."""
        self._wanted.pop(channel(job_id), None)
        self._changed.set()

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            try:
                await self._listen()
            except* Exception as errors:  # whatever it is, the followers outlive it
                if self.connected:
                    logger.warning("Redis is away (%r); polling Postgres", errors.exceptions[0])
            pause = CUT_OFF_S if self.connected else AWAY_S
            self.connected = False
            self._lost()
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        async with self._client.pubsub() as pubsub, asyncio.TaskGroup() as group:
            await pubsub.subscribe(LIFELINE)
            self.connected, self._subscribed = True, set()
            group.create_task(self._read(pubsub))
            group.create_task(self._subscribe(pubsub))

    async def _read(self, pubsub: Any) -> None:
        async for message in pubsub.listen():
            self._talked = True
            if message["type"] not in ("message", "subscribe"):
                continue
            job_id = self._wanted.get(message["channel"].decode())
            if job_id is not None:
                self._heard(job_id, message["data"] if message["type"] == "message" else b"")

    async def _subscribe(self, pubsub: Any) -> None:
        """Make the subscriptions what is wanted; notice a connection that only seems to live."""
        while True:
            self._changed.clear()
            wanted = set(self._wanted)
            if new := wanted - self._subscribed:
                await pubsub.subscribe(*new)
            if old := self._subscribed - wanted:
                await pubsub.unsubscribe(*old)
            self._subscribed = wanted
            try:
                await asyncio.wait_for(self._changed.wait(), PING_S)
            except TimeoutError:
                if not self._talked:
                    raise redis.ConnectionError("the connection is silent") from None
                self._talked = False
                await pubsub.ping()
