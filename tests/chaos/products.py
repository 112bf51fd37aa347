"""What people do with the products: every pipeline of the house, by its route where it has one."""

import asyncio
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy.exc import SQLAlchemyError

import pipelines  # noqa: F401 — declares them
from config.db import is_away, transaction
from models.accounts import SYSTEM_USER_ID
from models.base import new_id
from tasks.pipeline import REGISTRY
from tests.chaos.load import Act, Load
from tests.pipelines import OWNER

NOVEL = Path(__file__).parents[1] / "data/novels/DaisyMiller.txt"
NOVEL_CHARS = 15_000  # a chapter: it is read in again and again
TOP = 2
MESSAGES = 5  # of a conversation: enough for a summary of its beginning
TALK = ("Learn chess", "2 weeks", "I know the rules", "Beat my sister", "Not on Mondays", "Yes!")
TURNS_AT_MOST = 40


def mark(dice: random.Random) -> str:
    """Return what a model's call is counted by."""
    return f"mark-{dice.getrandbits(48):012x}"


async def read_book(load: Load) -> None:
    """Bring a novel and wait for its cast; also the beginning of everything about books."""
    upload = {"file": ("novel.txt", NOVEL.read_text()[:NOVEL_CHARS].encode(), "text/plain")}
    data = {"title": "Daisy Miller", "author": "Henry James", "top": str(TOP), "min_mentions": "1"}
    answer = await load.ask("POST", "/books", data=data, files=upload)
    answer.raise_for_status()
    book = answer.json()
    load.know(UUID(book["job_id"]), "book")
    if await load.ended(UUID(book["job_id"])) == "succeeded":
        load.made.setdefault("books", []).append(book["id"])


async def chat(load: Load) -> None:
    """Talk with a character; the reader of each reply comes and goes."""
    book = load.dice.choice(load.made["books"])
    cast = (await load.ask("GET", f"/books/{book}/characters")).json()["characters"]
    opened = await load.ask("POST", "/chat-sessions", json={"character_id": cast[0]["id"]})
    talk = f"/chat-sessions/{opened.json()['session_id']}"
    for _ in range(MESSAGES):
        message = {"message": f"Who are you? {mark(load.dice)}"}
        job = await _reply(load, f"{talk}/messages", message)
        if job is not None:
            load.watched(job, readers=1)
            await load.ended(job)


async def reindex_book(load: Load) -> None:
    """Index a book again, as the upkeep does once another model is set."""
    wanted = {"book_id": load.dice.choice(load.made["books"]), "model": "offline/another"}
    await started("books.reindex_book", SYSTEM_USER_ID, **wanted)(load)


async def rewrite_persona(load: Load) -> None:
    """Write a persona anew from its analysis."""
    book = load.dice.choice(load.made["books"])
    cast = (await load.ask("GET", f"/books/{book}/characters")).json()["characters"]
    answer = await load.ask("POST", f"/characters/{cast[0]['id']}/persona", json={})
    if answer.status_code == 202:
        job_id = UUID(answer.json()["id"])
        load.know(job_id, "persona")
        await load.ended(job_id)


async def _reply(load: Load, path: str, message: dict[str, str]) -> UUID | None:
    """Send a message; only the head of the answer is read. None: it was lost on the way."""
    try:
        async with load.client.stream("POST", path, json=message) as answer:
            load.answers[str(answer.status_code)] += 1
            return UUID(answer.headers["x-job-id"])
    except (httpx.TransportError, KeyError) as error:
        load.answers[type(error).__name__] += 1
        return None


async def plan_goal(load: Load) -> None:
    """A goal becomes a plan, written by a model."""
    goal = {"title": f"Run {mark(load.dice)}", "description": "in 3 weeks"}
    answer = await load.ask("POST", "/goals", json=goal | {"user_id": f"of {mark(load.dice)}"})
    answer.raise_for_status()
    goal_id = answer.json()["id"]
    load.made.setdefault("goals", []).append(goal_id)
    await asyncio.sleep(load.dice.uniform(0.5, 3))


async def talk_about_goal(load: Load) -> None:
    """A conversation that ends in a plan which waits for a yes."""
    said = {"user_id": f"of {mark(load.dice)}", "message": TALK[0]}
    told = (await load.ask("POST", "/goals/start", json=said)).json()
    ref = told["conversation_id"]
    for turn in range(1, TURNS_AT_MOST):
        told = (await load.ask("GET", f"/goals/conversations/{ref}")).json()
        if told["state"] == "CONFIRMED":
            return
        if told["suggested_action"] == "wait":
            await asyncio.sleep(1)
            continue
        message = TALK[-1] if told["state"] == "PLAN_READY" else TALK[min(turn, len(TALK) - 2)]
        await load.ask("POST", f"/goals/{ref}/respond", json={"message": message})
    # who gives up here leaves a job that waits; `settle` stops it


async def search_articles(load: Load) -> None:
    """A search that is answered within the request."""
    await load.ask("GET", "/api/v1/rag/search", params={"query": f"running {load.dice.random()}"})


async def sign_up(load: Load) -> None:
    """An account, and a mail with a link."""
    name = mark(load.dice)
    body = {"email": f"{name}@example.com", "username": name, "password": "a-long-password"}
    await load.ask("POST", "/api/signup/", json=body)
    load.made.setdefault("mails", []).append(body["email"])


async def speak(load: Load) -> None:
    """A session with the speech server."""
    await load.ask("POST", "/api/v1/voice/session", json={"user_id": str(OWNER)})


def started(pipeline: str, owner: UUID, **input: Any) -> Act:
    """Return the act of starting a pipeline that has no route for it, as the platform does."""

    async def act(load: Load) -> None:
        given = input | ({"book_id": str(new_id())} if pipeline.endswith("forget_book") else {})
        try:
            job_id = await asyncio.to_thread(_start, pipeline, owner, given)
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            return  # the platform tries again another time
        load.know(job_id, pipeline)
        await load.ended(job_id)

    return act


def _start(pipeline: str, owner: UUID, input: dict[str, Any]) -> UUID:
    known = REGISTRY[pipeline]
    with transaction() as session:
        return UUID(str(known.start(session, known.parse(input), owner=owner).id))


PRODUCTS: dict[str, Act] = {
    "read_book": read_book,
    "chat": chat,
    "plan_goal": plan_goal,
    "talk_about_goal": talk_about_goal,
    "search_articles": search_articles,
    "sign_up": sign_up,
    "speak": speak,
    "ingest_articles": started("goals.ingest_articles", OWNER),
    "forget_book": started("books.forget_book", OWNER, versions=2),
    "sweep_indexes": started("books.sweep_indexes", SYSTEM_USER_ID),
    "reindex_book": reindex_book,
    "rewrite_persona": rewrite_persona,
    "renew_indexes": started("books.renew_indexes", SYSTEM_USER_ID),
    "reindex_articles": started("goals.reindex_articles", SYSTEM_USER_ID),
    "prune_blobs": started("upkeep.prune_blobs", SYSTEM_USER_ID),
    "prune_jobs": started("upkeep.prune_jobs", SYSTEM_USER_ID),
    "settle_costs": started("upkeep.settle_costs", SYSTEM_USER_ID),
}
