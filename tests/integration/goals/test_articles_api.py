import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from config.db import transaction
from config.settings import settings
from models.accounts import Role, User, issue_token, provision_user
from models.base import new_id
from tests import inline

SLEEP = "Sleep\n\nRunners who sleep eight hours a night recover faster after long runs.\n"
FOOD = "Food\n\nEat oatmeal before a long run, and drink water every twenty minutes.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "articles"
    root.mkdir()
    (root / "sleep.md").write_text(SLEEP)
    configured = settings.goals.model_copy(update={"article_roots": str(root)})
    changed = settings.model_copy(update={"goals": configured})
    monkeypatch.setattr("models.goals.corpus.settings", changed)
    return root


@pytest.fixture
def superadmin(owner: None) -> dict[str, str]:
    with transaction() as session:
        user = provision_user(session, new_id())
        session.execute(update(User).where(User.id == user.id).values(role=Role.SUPERADMIN))  # type: ignore[arg-type]
        return {"Authorization": f"Bearer {issue_token(session, user.id)}"}


async def answered(asking: Any) -> httpx.Response:
    task = asyncio.create_task(asking)
    while not task.done():
        await asyncio.to_thread(inline.drain)
        await asyncio.sleep(0.05)
    found: httpx.Response = task.result()
    return found


async def ingest(client: httpx.AsyncClient, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await answered(client.post("/api/v1/rag/ingest", json=body, headers=headers))


async def sources(client: httpx.AsyncClient, query: str) -> list[str]:
    found = await answered(client.get("/api/v1/rag/search", params={"query": query}))
    assert found.status_code == 200, found.text
    return [one["source"] for one in found.json()["results"]]


async def test_articles_are_ingested_searched_and_cited_by_tasks(
    client: httpx.AsyncClient, folder: Path, superadmin: dict[str, str]
) -> None:
    first = await ingest(client, superadmin, articles_dir="articles")
    (folder / "sleep.md").unlink()
    (folder / "food.txt").write_text(FOOD)
    second = await ingest(client, superadmin)

    assert first.json() == {"status": "success", "articles": 1, "chunks": 1}
    assert second.json() == {"status": "success", "articles": 2, "chunks": 2}
    assert (await sources(client, "how long do runners sleep at night"))[0] == "articles/sleep.md"
    assert (await sources(client, "oatmeal and water"))[0] == "articles/food.txt"
    assert await sources(client, "quantum chromodynamics") == []

    goal = {"title": "Recover faster after long runs", "user_id": "x"}
    made = (await client.post("/goals", json=goal)).json()
    inline.drain()
    plan = (await client.get(f"/goals/{made['id']}")).json()["plan_json"]
    cited = {one["id"]: one for one in plan["sources"]}
    citations = [one for week in plan["milestones"] for one in week["citations"]]
    assert citations
    assert all(one["source"] in cited for one in citations)
    rows = (await client.get(f"/goals/{made['id']}/milestones")).json()
    grounded = [task for row in rows for task in row["tasks"] if task["sources"]]
    assert len(grounded) == len(citations)
    assert "articles/sleep.md" in {task["sources"][0]["source"] for task in grounded}


async def test_clearing_leaves_only_what_is_in_the_folder(
    client: httpx.AsyncClient, folder: Path, superadmin: dict[str, str]
) -> None:
    await ingest(client, superadmin)
    (folder / "sleep.md").unlink()
    (folder / "food.txt").write_text(FOOD)

    cleared = await ingest(client, superadmin, clear_existing=True)

    assert cleared.json() == {"status": "success", "articles": 1, "chunks": 1}
    assert await sources(client, "runners sleep at night") == []


@pytest.mark.parametrize(
    "name", ["..", "/etc", "../articles", "articles/../../etc", "elsewhere", "articles/.", "a\0b"]
)
async def test_no_path_of_a_client_is_opened(
    client: httpx.AsyncClient, folder: Path, superadmin: dict[str, str], name: str
) -> None:
    answer = await ingest(client, superadmin, articles_dir=name)

    assert (answer.status_code, list(answer.json())) == (422, ["detail"])


async def test_links_that_lead_out_of_the_folder_are_not_followed(
    client: httpx.AsyncClient, folder: Path, superadmin: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("The password is swordfish.")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "deep").symlink_to(tmp_path)

    answer = await ingest(client, superadmin)

    assert answer.json()["articles"] == 1
    assert await sources(client, "the password swordfish") == []


async def test_a_folder_without_articles_is_refused(
    client: httpx.AsyncClient, folder: Path, superadmin: dict[str, str]
) -> None:
    (folder / "sleep.md").unlink()

    answer = await ingest(client, superadmin)

    assert answer.status_code == 422
    assert "no articles" in answer.json()["detail"]


async def test_only_superadmins_and_services_ingest(
    client: httpx.AsyncClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"service_token": SecretStr("secret")}
    monkeypatch.setattr("api.deps.settings", settings.model_copy(update=secret))

    person = await ingest(client, {})
    forged = await ingest(client, {"X-Service-Token": "guess"})
    service = await ingest(client, {"X-Service-Token": "secret"})

    assert [one.status_code for one in (person, forged, service)] == [403, 401, 200]
