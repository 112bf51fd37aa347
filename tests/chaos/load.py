"""What people do while everything breaks: they start jobs, watch, stop, answer, try again."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from config.db import connection
from models.jobs.tables import TERMINAL, job
from tests.chaos.readers import Reading, follow

AT_ONCE = 8  # people
READERS = 2  # of a job that is watched
PATIENCE_S = 300.0  # how long somebody tries to get one request through
WATCH_EVERY_S = 0.4
REQUEST_TIMEOUT_S = 8.0
SUCCEEDED = frozenset({"succeeded"})

Act = Callable[["Load"], Awaitable[None]]


class GaveUp(Exception):
    """A request got no answer although its sender was very patient."""


@dataclass(frozen=True, slots=True)
class Known:
    """A job that somebody was promised, and how it may end."""

    kind: str
    ends: frozenset[str]
    effects: tuple[str, ...] = ()


class Load:
    """People, their jobs, and what they have read."""

    def __init__(self, url: str, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)
        self.folder = folder
        self.client = httpx.AsyncClient(
            base_url=url,
            timeout=REQUEST_TIMEOUT_S,
            limits=httpx.Limits(max_connections=60, max_keepalive_connections=20),
        )
        self.jobs: dict[UUID, Known] = {}
        self.readings: list[Reading] = []
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self.made: dict[str, list[str]] = {}  # what acts remember for the verdict, by their name
        self.acts: Counter[str] = Counter()
        self.doing: Counter[str] = Counter()
        self._ends: dict[UUID, asyncio.Future[str]] = {}
        self._followers: set[asyncio.Task[None]] = set()

    # -- requests

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request until it is answered with something that is not the weather."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_S
        while loop.time() < give_up:
            try:
                answer = await self.client.request(method, path, **more)
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                busy = answer.status_code == 409 and "idempotency_key_in_use" in answer.text
                if answer.status_code < 500 and answer.status_code != 429 and not busy:
                    return answer
            await asyncio.sleep(self.dice.uniform(0.1, 0.6))
        raise GaveUp(f"{method} {path}")

    async def start(
        self,
        pipeline: str,
        kind: str,
        *,
        ends: Iterable[str] = SUCCEEDED,
        effects: tuple[str, ...] = (),
        **input: Any,
    ) -> UUID:
        """Start a job of the engine's API, exactly one however often the request is sent."""
        key = f"{self.dice.getrandbits(96):024x}"
        headers = {"Idempotency-Key": key}
        answer = await self.ask("POST", f"/jobs/{pipeline}", json=input, headers=headers)
        answer.raise_for_status()
        job_id = UUID(answer.json()["id"])
        self.know(job_id, kind, ends=ends, effects=effects)
        return job_id

    def know(
        self,
        job_id: UUID,
        kind: str,
        *,
        ends: Iterable[str] = SUCCEEDED,
        effects: tuple[str, ...] = (),
    ) -> None:
        """Remember a job that was promised."""
        self.jobs[job_id] = Known(kind, frozenset(ends), effects)

    async def ended(self, job_id: UUID) -> str:
        """Wait for a job's end, however long it takes; return its status."""
        if job_id not in self._ends:
            self._ends[job_id] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._ends[job_id])

    def watched(self, job_id: UUID, readers: int = READERS) -> None:
        """Have people follow a job's stream."""
        for _ in range(readers):
            task = asyncio.create_task(self._read(job_id, random.Random(self.dice.random())))
            self._followers.add(task)
            task.add_done_callback(self._followers.discard)

    async def _read(self, job_id: UUID, dice: random.Random) -> None:
        self.readings.append(await follow(self.client, job_id, dice))

    # -- the run

    async def run(self, acts: dict[str, Act], stop: asyncio.Event) -> None:
        """Let people act until `stop`, each kind of act once before any is done again."""
        people = [asyncio.create_task(self._live(acts, stop)) for _ in range(AT_ONCE)]
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*people)
            await asyncio.gather(*self._followers)
        finally:
            for task in (*people, *self._followers, watching):
                task.cancel()

    async def _live(self, acts: dict[str, Act], stop: asyncio.Event) -> None:
        while not stop.is_set():
            fewest = min(self.acts[name] for name in acts)
            name = self.dice.choice([one for one in acts if self.acts[one] == fewest])
            self.acts[name] += 1
            self.doing[name] += 1
            try:
                await acts[name](self)
            except (GaveUp, httpx.HTTPStatusError, KeyError, AssertionError) as error:
                self.problems.append(f"{name}: {type(error).__name__}: {error}")
            finally:
                self.doing[name] -= 1

    async def _watch(self) -> None:
        """Look which of the jobs that somebody waits for have ended."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            waited = [one for one, told in self._ends.items() if not told.done()]
            if not waited:
                continue
            with suppress(SQLAlchemyError):
                for job_id, status in await asyncio.to_thread(_ended, waited):
                    told = self._ends.get(job_id)
                    if told is not None and not told.done():
                        told.set_result(status)

    def forget_end(self, job_id: UUID) -> None:
        """Wait anew for a job's end: it was taken up again."""
        self._ends.pop(job_id, None)


def _ended(jobs: list[UUID]) -> list[tuple[UUID, str]]:
    query = select(job.c.id, job.c.status).where(job.c.id.in_(jobs), job.c.status.in_(TERMINAL))
    with connection() as conn:
        return [(row.id, row.status) for row in conn.execute(query)]
