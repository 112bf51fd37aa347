"""One run: everything is started, broken for a while, left in peace, and judged."""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text

from config.db import transaction
from config.local.migrations import upgrade
from models.accounts import provision_user
from models.schedules import keeping
from models.schedules.tables import ScheduleCreate
from models.webhooks.keeping import keep_webhook
from models.webhooks.tables import WebhookCreate
from tasks.pipeline import REGISTRY
from tests.chaos import report, verdict
from tests.chaos.acts import ENGINE
from tests.chaos.load import Load
from tests.chaos.outside import CountingModel, Inbox
from tests.chaos.plan import PROCESSES, Fault, plan
from tests.chaos.products import PRODUCTS, read_book
from tests.chaos.readers import Reading, follow
from tests.chaos.settle import Quiet
from tests.chaos.site import BOOT_S, Site, until
from tests.pipelines import OWNER
from tests.scripted_deepgram import KEY, ScriptedDeepgram
from tests.scripted_model import Served
from tests.stack import live_queues

SETTLE_S = 240.0  # at most; a run without a bug needs a tenth
PROGRESS_EVERY_S = 15.0
READ_AT_ONCE = 8
IDLE = {"tests.dawdling", "tests.grinding"}  # pipelines that only pass time
SCHEDULES = {3: "allow", 5: "queue"}  # seconds: what a fire does while the one before still runs
QUEUES = {"io", "cpu", "stream"}
LEDGER = "CREATE TABLE test_effect (id uuid PRIMARY KEY, job_id uuid NOT NULL, name text NOT NULL)"


@dataclass(frozen=True)
class Wish:
    """What is asked for on the command line."""

    seed: int
    minutes: float
    faults: int | None
    names: tuple[str, ...] = PROCESSES
    command: str = ""

    def plan(self) -> list[Fault]:
        """Return the faults that are planned."""
        return plan(self.seed, lasts_s=60 * self.minutes, faults=self.faults, names=self.names)


class Run:
    """Everything that one run consists of."""

    def __init__(self, wish: Wish, folder: Path, deepgram: ScriptedDeepgram) -> None:
        self.wish, self.folder = wish, folder
        self.model, self.inbox = CountingModel(), Inbox()
        self.served = [Served(self.model), Served(self.inbox)]
        articles = folder / "articles"
        articles.mkdir()
        for name in ("running", "sleeping"):
            (articles / f"{name}.md").write_text(f"# On {name}\n\n" + f"Of {name}, daily. " * 200)
        self.site = Site(
            folder,
            wish.names,
            {
                "models": ("127.0.0.1", self.served[0].port),
                "hooks": ("127.0.0.1", self.served[1].port),
            },
            TRUST_GATEWAY="true",
            FETCH_ALLOW_LOOPBACK="true",
            MODELS_CHAT="openai/plain",
            MODELS_REWRITE="openai/rewrite",
            MODELS_ANALYSIS="openai/analysis",
            MODELS_PLAN="openai/planner",
            LLM_API_KEY="none",
            DEEPGRAM_API_KEY=KEY,
            DEEPGRAM_API_BASE=deepgram.base,
            VOICE_DAILY_SESSION_LIMIT="100000",
            GOALS_ARTICLE_ROOTS=str(articles),
            BOOKS_HISTORY_MESSAGES="2",
        )
        self.load: Load
        self.suffered: list[Fault] = []
        self.schedules: dict[int, UUID] = {}

    async def go(self) -> dict[str, Any]:
        """Do all of it; return the report."""
        for served in self.served:
            await asyncio.to_thread(served.__enter__)
        await asyncio.to_thread(self._prepare)
        await self.site.open()
        self.load = Load(self.site.url, self.wish.seed, self.folder)
        self._note("starting everything")
        await until(lambda: live_queues() >= QUEUES, BOOT_S, "the workers' start")
        await asyncio.to_thread(self._keep)
        stop, people = asyncio.Event(), None
        watch = asyncio.create_task(self.load._watch())
        await asyncio.wait_for(read_book(self.load), BOOT_S)  # others talk about this one
        watch.cancel()
        began = time.monotonic()
        people = asyncio.create_task(self.load.run({**ENGINE, **PRODUCTS}, stop))
        try:
            await self._break_things(began)
            lasted_s = time.monotonic() - began
            stop.set()
            self._note("quiet; everything has to come to its end")
            quiet = Quiet(list(self.schedules.values()))
            settled_s = await self._settle(quiet, people)
        finally:
            people.cancel()
        return await self._judge(quiet, lasted_s, settled_s)

    # -- before

    def _prepare(self) -> None:
        """Start the servers; make the database, the ledger and the person whom all is for."""
        self.site.postgres.start()
        self.site.valkey.start()
        with psycopg.connect(self.site.postgres.url, autocommit=True) as conn:
            conn.execute(f'CREATE DATABASE "{self.site.database}"')
        upgrade()
        with transaction() as session:
            provision_user(session, OWNER)
            session.connection().execute(text(LEDGER))  # unlike the tests', it takes doubles

    def _keep(self) -> None:
        """Keep a webhook for every job, and the schedules."""
        port = self.site.links["workers-hooks"].port
        with transaction() as session:
            hook = WebhookCreate(url=f"http://127.0.0.1:{port}/hook")
            self.inbox.secret = keep_webhook(session, hook, owner=OWNER)[1]
        for every_s, overlap in SCHEDULES.items():
            new = ScheduleCreate(
                name=f"every {every_s} s", pipeline="tests.fan", every_s=every_s,
                catch_up="all", overlap=overlap,
            )  # fmt: skip
            with transaction() as session:
                row = keeping.keep_schedule(session, new, input={"count": 1}, owner=OWNER)
                self.schedules[every_s] = row.id

    # -- meanwhile

    async def _break_things(self, began: float) -> None:
        faults = self.wish.plan()
        lasting: set[asyncio.Task[None]] = set()
        told_at = 0.0
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            self._note(str(fault))
            self.suffered.append(fault)
            task = asyncio.create_task(self.site.suffer(fault))
            lasting.add(task)
            if time.monotonic() - told_at > PROGRESS_EVERY_S:
                told_at = time.monotonic()
                self._note(f"{'':10} {len(self.suffered)} of {len(faults)} faults; {self._sum()}")
        await asyncio.gather(*lasting)

    def _sum(self) -> str:
        known, read = len(self.load.jobs), len(self.load.readings)
        told, problems = len(self.inbox.told), len(self.load.problems)
        return f"{known} jobs, {read} transcripts, {told} webhooks, {problems} problems"

    def _note(self, line: str) -> None:
        print(line, flush=True)

    # -- afterwards

    async def _settle(self, quiet: Quiet, people: "asyncio.Task[None]") -> float | None:
        began = time.monotonic()
        await until(lambda: live_queues() >= QUEUES, BOOT_S, "the workers' return")
        while not people.done() and time.monotonic() - began < SETTLE_S:
            await asyncio.wait([people], timeout=PROGRESS_EVERY_S)
            left = await asyncio.to_thread(quiet.open)
            self._note(f"{self._sum()}; people: {self._still()}; open: {left or 'nothing'}")
        if not people.done():
            self.load.problems.append(f"people wait in vain: {self._still()}")
            people.cancel()
        else:
            people.result()  # raises what has driven them away
        if await quiet.settle(SETTLE_S, self._note) is None:
            return None
        return time.monotonic() - began

    def _still(self) -> str:
        acts = ", ".join(f"{n} {name}" for name, n in self.load.doing.items() if n)
        return f"{acts or 'no acts'}, {len(self.load._followers)} readers"

    async def _judge(
        self, quiet: Quiet, lasted_s: float, settled_s: float | None
    ) -> dict[str, Any]:
        fresh = await self._read_afresh()
        checks = await asyncio.to_thread(self._checks, quiet, fresh)
        await self.load.client.aclose()
        more = {
            "processes_started": self.site.started,
            "connections": sum(link.opened for link in self.site.links.values()),
            "taken_up": sum(quiet.taken_up.values()),
            "webhooks": {"events": len(self.inbox.told), "sent": self.inbox.times.total()},
            "model_calls": dict(sorted(self.model.calls.items())),
            "plan": [str(one).strip() for one in self.suffered],
        }
        return report.compose(
            seed=self.wish.seed, command=self.wish.command, lasted_s=lasted_s,
            settled_s=settled_s, suffered=self.suffered, checks=checks, load=self.load, more=more,
        )  # fmt: skip

    async def _read_afresh(self) -> dict[UUID, Reading]:
        """Read each stream that was followed once more, now that its job has ended."""
        jobs = sorted({one.job_id for one in self.load.readings})
        gate = asyncio.Semaphore(READ_AT_ONCE)

        async def read(job_id: UUID) -> Reading:
            async with gate:
                calm = follow(self.load.client, job_id, random.Random(0), patient=True)
                return await asyncio.wait_for(calm, BOOT_S)

        return {one.job_id: one for one in await asyncio.gather(*map(read, jobs))}

    def _checks(self, quiet: Quiet, fresh: dict[UUID, Reading]) -> list[verdict.Check]:
        again = [*quiet.taken_up, *(j for j, k in self.load.jobs.items() if k.kind == "resumed")]
        started, long = report.jobs_by_pipeline(), self.wish.faults is None
        missing = [name for name in REGISTRY if not started[name] and name not in IDLE]
        return [
            *(check(self.load) for check in verdict.OF_THE_LOAD),
            verdict.nothing_is_stuck(quiet.left()),
            verdict.transcripts_are_as_stored(self.load.readings, fresh, again),
            *(
                verdict.schedules_have_fired(id, every_s, quiet.paused_at)
                for every_s, id in self.schedules.items()
            ),
            verdict.webhooks_were_told(self.inbox),
            verdict.model_calls_are_paid_once(self.model),
            verdict.Check("every pipeline has had jobs", len(REGISTRY), missing if long else []),
        ]

    async def close(self) -> None:
        """Leave nothing running."""
        await self.site.close()
        for served in self.served:
            if served.thread.is_alive():
                served.__exit__()


async def carry_out(wish: Wish, folder: Path) -> dict[str, Any]:
    """Do a run in `folder`; whatever happens, nothing of it goes on afterwards."""
    with ScriptedDeepgram() as deepgram:
        run = Run(wish, folder, deepgram)
        try:
            return await run.go()
        finally:
            await run.close()
