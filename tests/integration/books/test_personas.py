"""A persona is written anew: from the analysis as it is, or as somebody has edited it."""

from typing import Any

import httpx

from config.db import transaction
from models.books.library import Character
from tests.fakes import FakeLLM
from tests.inline import drain
from tests.integration.books.talk import Actor, World

ANALYSIS = {
    "summary": "A gardener who hides it.",
    "personality_traits": ["shy"],
    "speech_style": "Short.",
    "themes": ["rain"],
}
FACTS: dict[str, Any] = {
    "name": "Ann", "aliases": ["Annie"], "pronouns": "she", "is_narrator": False, "mentions": 9,
    "quote_count": 3, "words_spoken": 30, "first_chapter": 0, "last_chapter": 2, "importance": 1.0,
    "does": [], "undergoes": [], "has": [], "described_as": [], "relations": [],
    "quotes": ["I do like the rain."],
}  # fmt: skip


def know(world: World, **more: Any) -> None:
    with transaction() as session:
        row = session.get_one(Character, world.ids["Ann"])
        row.profile = FACTS
        row.analysis = more.get("analysis")
        session.add(row)


async def rewrite(client: httpx.AsyncClient, world: World, **body: Any) -> dict[str, Any]:
    path = f"/characters/{world.ids['Ann']}"
    answer = await client.post(f"{path}/persona", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    drain()
    job = (await client.get(answer.headers["location"])).json()
    assert job["status"] == "succeeded", job["error"]
    found: dict[str, Any] = (await client.get(path)).json()
    return found


async def test_an_edited_analysis_costs_one_call_and_becomes_the_character(
    client: httpx.AsyncClient, world: World, actor: Actor
) -> None:
    know(world)

    found = await rewrite(client, world, analysis=ANALYSIS)

    (asked,) = actor.prompts("analysis")
    assert "A gardener who hides it." in asked[-1].content
    assert found["system_prompt"] == "1 summaries."
    assert found["analysis"]["themes"] == ["rain"]
    assert (found["description"], found["personality_traits"]) == (ANALYSIS["summary"], ["shy"])
    kept = await client.get(f"/characters/{world.ids['Ann']}/prompt.md")
    assert "1 summaries." in kept.text


async def test_a_persona_may_be_written_again_from_the_same_analysis(
    client: httpx.AsyncClient, world: World, actor: Actor
) -> None:
    know(world, analysis=ANALYSIS | {"summary": "As it was."})

    found = await rewrite(client, world)

    assert found["analysis"]["summary"] == "As it was."
    assert found["system_prompt"] == "1 summaries."
    assert len(actor.prompts("analysis")) == 1


async def test_a_character_without_an_analysis_needs_one(
    client: httpx.AsyncClient, world: World, actor: FakeLLM
) -> None:
    know(world)

    answer = await client.post(f"/characters/{world.ids['Ann']}/persona", json={})

    assert (answer.status_code, answer.json()["code"]) == (409, "no_analysis")
    assert not actor.asked
