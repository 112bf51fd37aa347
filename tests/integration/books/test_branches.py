"""Alternates, edits and pages of a conversation."""

from uuid import uuid4

import httpx
import pytest

from tests.integration.books.talk import Actor, Talk, World, reply


@pytest.fixture
async def talk(client: httpx.AsyncClient, world: World) -> Talk:
    begun = await Talk.begin(client, world)
    for text in ("One?", "Two?"):
        await begun.say(text)
    return begun


async def test_a_talk_goes_back_and_forth(talk: Talk) -> None:
    told = (await talk.messages())["messages"]

    assert [one["content"] for one in told] == ["One?", "Reply 1.", "Two?", "Reply 2."]
    assert [one["position"] for one in told] == [1, 2, 3, 4]
    assert [one["parent_id"] for one in told] == [None, *(one["id"] for one in told[:3])]
    assert [one["role"] for one in told] == ["user", "character"] * 2
    assert told[1]["character_id"] == talk.told["character_id"]


async def test_a_reply_written_again_stands_beside_the_first_one(
    client: httpx.AsyncClient, talk: Talk
) -> None:
    last = (await talk.messages())["messages"][-1]

    frames = await reply(client, f"/messages/{last['id']}/regenerate", {})

    assert frames[-1] == {"done": True, "full_response": "Reply 3."}
    now = (await talk.messages())["messages"]
    assert [one["content"] for one in now] == ["One?", "Reply 1.", "Two?", "Reply 3."]
    assert now[-1]["alternates"] == [last["id"], now[-1]["id"]]
    beside = (await client.get(f"/messages/{last['id']}/alternates")).json()
    assert [one["content"] for one in beside["messages"]] == ["Reply 2.", "Reply 3."]
    assert beside["chosen"] == now[-1]["id"]


async def test_a_reply_written_again_does_not_know_the_first_one(
    client: httpx.AsyncClient, talk: Talk, actor: Actor
) -> None:
    last = (await talk.messages())["messages"][-1]

    await reply(client, f"/messages/{last['id']}/regenerate", {})

    asked = [(one.role, one.content) for one in actor.prompts()[-1][1:]]
    assert asked == [("user", "One?"), ("assistant", "Reply 1."), ("user", "Two?")]


async def test_an_edit_begins_a_branch_and_loses_nothing(
    client: httpx.AsyncClient, talk: Talk
) -> None:
    first = (await talk.messages())["messages"][0]

    await reply(client, f"/messages/{first['id']}/edit", {"message": "Other?"})

    assert await talk.texts() == ["Other?", "Reply 3."]
    assert (await talk.state())["message_count"] == 2
    told = (await client.post(f"/messages/{first['id']}/choose")).json()
    assert (told["message_count"], told["last_message_preview"]) == (4, "Reply 2.")
    assert await talk.texts() == ["One?", "Reply 1.", "Two?", "Reply 2."]


async def test_a_branch_comes_back_as_it_was_left(client: httpx.AsyncClient, talk: Talk) -> None:
    first, _, second, last = (await talk.messages())["messages"]
    await reply(client, f"/messages/{last['id']}/regenerate", {})
    await client.post(f"/messages/{last['id']}/choose")
    await reply(client, f"/messages/{first['id']}/edit", {"message": "Other?"})

    await client.post(f"/messages/{second['id']}/choose")

    assert (await talk.texts())[-1] == "Reply 2."
    await talk.say("Three?")
    assert (await talk.texts())[-3:] == ["Reply 2.", "Three?", "Reply 5."]


async def test_only_the_readers_words_can_be_edited(client: httpx.AsyncClient, talk: Talk) -> None:
    said = (await talk.messages())["messages"][1]

    answer = await client.post(f"/messages/{said['id']}/edit", json={"message": "No."})

    assert (answer.status_code, answer.json()["code"]) == (422, "not_editable")


async def test_a_message_of_the_readers_can_be_answered_once_more(
    client: httpx.AsyncClient, talk: Talk
) -> None:
    asked = (await talk.messages())["messages"][2]

    await reply(client, f"/messages/{asked['id']}/regenerate", {})

    assert (await talk.texts())[-2:] == ["Two?", "Reply 3."]


async def test_a_history_is_read_page_by_page_from_its_end(talk: Talk) -> None:
    for text in ("Three?", "Four?"):
        await talk.say(text)

    pages: list[list[str]] = []
    before: dict[str, str] = {}
    while True:
        page = await talk.messages(limit=3, **before)
        pages.append([one["content"] for one in page["messages"]])
        if page["previous"] is None:
            break
        before = {"before": page["previous"]}

    assert pages == [
        ["Reply 3.", "Four?", "Reply 4."],
        ["Two?", "Reply 2.", "Three?"],
        ["One?", "Reply 1."],
    ]


async def test_a_history_is_read_page_by_page_from_its_beginning(talk: Talk) -> None:
    page = await talk.messages(after=0, limit=3)
    assert [one["content"] for one in page["messages"]] == ["One?", "Reply 1.", "Two?"]

    page = await talk.messages(after=page["next"], limit=3)
    assert ([one["content"] for one in page["messages"]], page["next"]) == (["Reply 2."], None)


async def test_a_page_before_a_message_of_another_talk_is_not_found(
    client: httpx.AsyncClient, talk: Talk, world: World
) -> None:
    other = await Talk.begin(client, world)
    await other.say("Hello?")
    foreign = (await other.messages())["messages"][0]["id"]

    for id_ in (foreign, str(uuid4())):
        answer = await client.get(f"/chat-sessions/{talk.id}/messages", params={"before": id_})
        assert (answer.status_code, answer.json()["code"]) == (404, "message_not_found")


async def test_an_empty_talk_has_an_empty_page(client: httpx.AsyncClient, world: World) -> None:
    begun = await Talk.begin(client, world)

    assert await begun.messages() == {"messages": [], "previous": None, "next": None}
    answer = await client.post(f"/chat-sessions/{begun.id}/messages", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "nothing_to_answer")


async def test_the_same_key_answers_once(client: httpx.AsyncClient, talk: Talk) -> None:
    client.headers["Idempotency-Key"] = "one"
    last = (await talk.messages())["messages"][-1]

    for _ in range(2):
        frames = await reply(client, f"/messages/{last['id']}/regenerate", {})
        assert frames[-1]["full_response"] == "Reply 3."
