"""Every route, asked by its owner, by a stranger, and by nobody."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr
from sqlmodel import Session
from starlette.routing import Mount

from api.app import app
from config.db import engine, transaction
from config.settings import settings
from models.accounts import issue_token, list_tokens, provision_user
from models.base import new_id
from models.books.library import Character, get_book
from models.books.messages import Author, ChatMessage, attach
from models.books.sessions import open_session
from models.dining import provision_diner
from models.goals.fallback import fallback_week
from models.goals.goals import GoalCreate, new_goal
from models.goals.tables import Goal, PlanSource, Talk, TalkContext
from models.goals.talks import start_talk
from models.goals.todo import TaskCreate, add_task
from models.goals.versions import Planned, keep_plan
from models.jobs import lifecycle
from models.scenes.users import ItemCreate, SkillCreate, UserItem, UserSkill, add_owned
from models.schedules.keeping import keep_schedule
from models.schedules.tables import ScheduleCreate
from models.webhooks.deliveries import list_deliveries
from models.webhooks.keeping import keep_webhook, name_webhook
from models.webhooks.tables import WebhookCreate
from pipelines.goals.plan import begin
from tests import inline
from tests.contracts.ownership import BOOK, DECISIONS, HOOK, WEEKLY, Mine, Open, Owned, Service
from tests.stack import fresh_database

SERVICE = {"X-Service-Token": "secret-of-the-service"}
MOUNTS = {"/admin"}


@dataclass
class World:
    """An owner with one thing of every kind, and a stranger."""

    things: dict[str, str]
    owner: dict[str, str]
    stranger: dict[str, str]
    stranger_id: str

    def fill(self, value: Any, asker: str) -> Any:
        """Put ids where `{name}` stands."""
        if not isinstance(value, str):
            return value
        for name, thing in (self.things | {"asker": asker}).items():
            value = value.replace(f"{{{name}}}", thing)
        return value

    def sent(self, send: dict[str, Any], asker: str) -> dict[str, Any]:
        """What is sent, with ids in its JSON."""
        if "json" not in send:
            return send
        return {"json": json.loads(self.fill(json.dumps(send["json"]), asker))}


def routes() -> set[str]:
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or set()) - {"HEAD"}
    }


@pytest.fixture(scope="module")
def database_url(_postgres_server: None) -> Iterator[str]:
    """One database for the whole walk: each route is asked for things of other people."""
    fresh_database()
    yield os.environ["DATABASE_URL"]
    engine().dispose()


@pytest.fixture
async def web(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    closed = {"environment": "production", "service_token": SecretStr(SERVICE["X-Service-Token"])}
    monkeypatch.setattr("api.deps.settings", settings.model_copy(update=closed))
    async with inline.api() as client:
        yield client


@pytest.fixture(scope="module")
def worlds(database_url: str) -> list[World]:
    """The world that is still whole, if there is one."""
    return []


@pytest.fixture
async def world(web: httpx.AsyncClient, worlds: list[World]) -> World:
    """A world in which only questions have been asked so far."""
    if not worlds:
        worlds.append(await _made(web))
    return worlds[0]


async def _made(web: httpx.AsyncClient) -> World:
    owner, stranger = new_id(), new_id()
    with transaction() as session:
        tokens = [
            issue_token(session, provision_user(session, one).id) for one in (owner, stranger)
        ]
    headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    book = (await web.post("/books", headers=headers[0], **BOOK)).json()
    return World(
        things=_things(owner, UUID(book["id"]), UUID(book["job_id"])),
        owner=headers[0],
        stranger=headers[1],
        stranger_id=str(stranger),
    )


def _things(owner: UUID, book_id: UUID, job_id: UUID) -> dict[str, str]:
    with transaction() as session:
        lifecycle.request_cancel(session.connection(), job_id)
        get_book(session, book_id, owner=owner)
        character = Character(id=new_id(), book_id=book_id, name="Ann", system_prompt="Be Ann.")
        session.add(character)
        session.flush()
        chat = open_session(session, character, user=owner, title="")
        chat.job_id = job_id
        said = ChatMessage(
            id=new_id(), session_id=chat.id, position=1, role=Author.USER, content="Hello?"
        )
        attach(session, chat.id, None, said)
        item = add_owned(session, UserItem, ItemCreate(name="A lamp"), owner=owner)
        skill = add_owned(session, UserSkill, SkillCreate(name="Light"), owner=owner)
        provision_diner(session, owner, email=None)
        session.add(
            Talk(owner_id=owner, public_id=str(chat.id), context_type=TalkContext.VOICE)
        )  # so that one id stands for both kinds of sessions
        run = TaskCreate(title="Run", scheduled_at=datetime(2040, 7, 2, 10, tzinfo=UTC))
        task = add_task(session, run, owner=owner, time_zone="UTC")
        weekly = keep_schedule(
            session, ScheduleCreate.model_validate(WEEKLY), input={"count": 1}, owner=owner
        )
        hook, _ = keep_webhook(session, WebhookCreate.model_validate(HOOK), owner=owner)
        name_webhook(session, job_id, hook)
        (delivery,) = list_deliveries(session, hook, status=None, before=None, limit=1)
        (token,) = list_tokens(session, owner=owner)
        goal, talk = _goal_and_talk(session, owner)
        found = {
            "user_id": owner, "uid": owner, "book_id": book_id, "job_id": job_id,
            "character_id": character.id, "session_id": chat.id, "item_id": item.id,
            "skill_id": skill.id, "token_id": token.id, "message_id": said.id,
            "goal_id": goal.id, "conversation_id": talk.id, "event_id": task.id,
            "schedule_id": weekly.id, "webhook_id": hook.id, "delivery_id": delivery.id,
        }  # fmt: skip
    return {name: str(one) for name, one in found.items()} | {
        "pipeline": "tests.fan",
        "token": "no-such-link",
        "version": "1",
    }


def _goal_and_talk(session: Session, owner: UUID) -> tuple[Goal, Talk]:
    goal = new_goal(session, GoalCreate(title="Run", user_id=str(owner)), owner=owner)
    job = begin(session, goal)
    lifecycle.request_cancel(session.connection(), job.id)
    session.flush()
    weeks = [fallback_week(week, total=6) for week in range(1, 7)]
    planned = Planned(weeks=weeks, sources=[], source=PlanSource.FALLBACK)
    keep_plan(session, goal, planned, base=None, job=job.id)
    return goal, start_talk(session, "I want to run", owner=owner, user_ref=str(owner))


def test_every_route_has_a_decision() -> None:
    assert routes() - set(DECISIONS) == set(), "say in ownership.py who may call these"
    assert set(DECISIONS) - routes() == set(), "these routes are no more"


def test_nothing_else_is_mounted() -> None:
    found = {route.path for route in app.routes if isinstance(route, Mount)}
    assert found == MOUNTS


@pytest.mark.parametrize("route", DECISIONS)
async def test_a_route_answers_each_as_decided(
    web: httpx.AsyncClient, world: World, worlds: list[World], route: str
) -> None:
    method, _, path = route.partition(" ")
    decision = DECISIONS[route]
    send = {} if isinstance(decision, Open) else decision.send
    owner_id = world.things["user_id"]
    if method != "GET":
        worlds.clear()  # whoever may, changes something

    async def ask(headers: dict[str, str], asker: str) -> httpx.Response:
        target = world.fill(path, asker)
        return await web.request(method, target, headers=headers, **world.sent(send, asker))

    nobody = await ask({}, owner_id)
    if isinstance(decision, Open):
        assert nobody.status_code not in (401, 403), nobody.text
        return
    stranger = await ask(world.stranger, world.stranger_id)
    if isinstance(decision, Service):
        forged = await ask({"X-Service-Token": "a guess"}, owner_id)
        owner = await ask(world.owner, owner_id)
        refused = [one.status_code for one in (nobody, stranger, forged, owner)]
        assert refused == [401] * 4
        assert (await ask(SERVICE, owner_id)).status_code == decision.service
        return
    assert nobody.status_code == decision.nobody, nobody.text
    if isinstance(decision, Owned):
        assert stranger.status_code == decision.stranger, stranger.text
    if isinstance(decision, Mine):
        assert stranger.status_code == decision.owner, stranger.text
        assert not [one for one in world.things.values() if len(one) == 36 and one in stranger.text]
    if decision.owner is not None:
        owner = await ask(world.owner, owner_id)
        assert owner.status_code == decision.owner, owner.text


async def test_a_trusted_header_is_not_believed_without_its_secret(
    web: httpx.AsyncClient, world: World
) -> None:
    claim = {"X-User-ID": world.things["user_id"]}

    for headers in (claim, claim | {"X-Service-Token": "a guess"}, claim | world.stranger):
        assert (await web.get("/jobs", headers=headers)).status_code == 401
    assert (await web.get("/jobs", headers=claim | SERVICE)).status_code == 200


async def test_no_page_of_the_administration_opens_without_a_superadmin(
    web: httpx.AsyncClient, world: World
) -> None:
    (mount,) = (route for route in app.routes if isinstance(route, Mount))
    cookie = world.owner["Authorization"].removeprefix("Bearer ")
    headers = world.owner | {"Cookie": f"longrun_admin={cookie}"}
    inside = [one for one in mount.routes if getattr(one, "name", "") not in ("login", "static")]

    for route in inside:
        path = str(getattr(route, "path", "")).replace("{key}", "user").replace("{path:path}", "x")
        for method in getattr(route, "methods", set()):
            answer = await web.request(method, f"/admin{path}", headers=headers)
            redirected = "/admin/login" in answer.headers.get("location", "")
            assert redirected or answer.status_code == 403, (method, path, answer.status_code)
    assert len(inside) > 8
