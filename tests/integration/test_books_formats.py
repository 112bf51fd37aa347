"""Books as EPUB and PDF, how they are read in, and what their characters can be taken along as."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from config.db import connection
from config.settings import settings
from tests import inline
from tests.documents import epub, pdf, rewritten

NOVEL = Path(__file__).parents[1] / "data/novels/TheSignOfTheFour.txt"
USER = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    books = settings.books.model_copy(update={"formats": "txt,md,epub,pdf"})
    monkeypatch.setattr("api.books.library.settings", settings.model_copy(update={"books": books}))


def novel(chapters: int) -> bytes:
    """The first chapters of a novel as an EPUB, whose headings have no numbers."""
    text = NOVEL.read_text(encoding="utf-8").replace("\r\n", "\n")
    parts = re.split(r"\nChapter [IVX]+\s+([^\n]+)\n", f"\n{text}")[1:]
    titles, bodies = parts[: 2 * chapters : 2], parts[1 : 2 * chapters : 2]
    pages = [
        f"<h1>{title}</h1>"
        + "".join(f"<p>{one}</p>" for one in body.replace("&", "&amp;").split("\n\n"))
        for title, body in zip(titles, bodies, strict=True)
    ]
    links = "".join(f'<li><a href="p{n}.xhtml">{one}</a></li>' for n, one in enumerate(titles))
    return epub(pages, nav=f"<ol>{links}</ol>")


async def add(client: httpx.AsyncClient, name: str, data: bytes, **more: Any) -> httpx.Response:
    form = {"title": "The Sign of the Four", "author": "A. C. Doyle", **more}
    return await client.post("/books", data=form, files={"file": (name, data)})


async def cast_of(client: httpx.AsyncClient, book_id: str) -> list[dict[str, Any]]:
    found = await client.get(f"/books/{book_id}/characters", params={"limit": 100})
    cast: list[dict[str, Any]] = found.json()["characters"]
    return cast


async def test_an_epub_becomes_a_book_whose_characters_can_be_taken_along(
    client: httpx.AsyncClient, every_format: None
) -> None:
    told = (await add(client, "sign.epub", novel(4), top=2, min_mentions=3)).json()
    inline.drain()

    book = (await client.get(f"/books/{told['id']}")).json()
    assert (book["processing_status"], book["total_chapters"]) == ("completed", 4)
    cast = await cast_of(client, book["id"])
    assert [one["has_voice"] for one in cast[:3]] == [True, True, False]
    await card_can_be_taken_along(client, cast[0])
    await persona_can_be_taken_along(client, cast[0])
    for path in ("card", "card?format=png", "prompt.md"):
        answer = await client.get(f"/characters/{cast[-1]['id']}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "no_persona")


async def card_can_be_taken_along(client: httpx.AsyncClient, who: dict[str, Any]) -> None:
    path = f"/characters/{who['id']}/card"
    card = await client.get(path)
    picture = await client.get(path, params={"format": "png"})

    data = card.json()["data"]
    assert data["name"] == who["name"]
    assert data["extensions"]["longrun"]["quotes"][0].keys() == {"text", "chapter", "start", "end"}
    assert picture.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(picture.content)) as image:
        held = image.text["chara"]  # type: ignore[attr-defined]
    assert base64.b64decode(held) == card.content
    name = who["name"].replace(" ", "_")
    assert f'attachment; filename="{name}.card.json"' in card.headers["content-disposition"]
    known = {"If-None-Match": card.headers["etag"]}
    assert (await client.get(path, headers=known)).status_code == 304
    assert (await client.get(path, params={"format": "png"}, headers=known)).status_code == 200
    assert (await client.get(path, params={"format": "gif"})).status_code == 400


async def persona_can_be_taken_along(client: httpx.AsyncClient, who: dict[str, Any]) -> None:
    detail = (await client.get(f"/characters/{who['id']}")).json()
    kept = await client.get(f"/characters/{who['id']}/prompt.md")

    assert kept.headers["content-type"].startswith("text/markdown")
    assert detail["system_prompt"].strip() in kept.text
    with connection() as conn:
        held = conn.exec_driver_sql(
            "SELECT count(*) FROM blob_ref JOIN character ON key = prompt_blob"
        ).scalar_one()
    assert held == 2


async def test_a_pdf_that_cannot_be_read_ends_the_reading_with_the_reason(
    client: httpx.AsyncClient, every_format: None
) -> None:
    locked = rewritten(pdf([["It was a dark night."]]), password="sesame")
    books = [
        (await add(client, name, data)).json()["id"]
        for name, data in (("a.pdf", locked), ("b.pdf", pdf([["12"]])), ("c.epub", epub([])))
    ]
    inline.drain()

    told = [(await client.get(f"/books/{one}")).json() for one in books]
    assert [(one["processing_status"], one["processing_error"]["code"]) for one in told] == [
        ("failed", "document_protected"),
        ("failed", "document_without_text"),
        ("failed", "document_without_text"),
    ]


@pytest.mark.parametrize("name", ["book.epub", "book.pdf"])
async def test_a_file_that_is_not_what_its_name_says_is_refused_at_once(
    client: httpx.AsyncClient, every_format: None, name: str
) -> None:
    answer = await add(client, name, b"A plain text.")
    assert (answer.status_code, answer.json()["code"]) == (422, "document_broken")


async def test_other_formats_are_refused_unless_the_setting_allows_them(
    client: httpx.AsyncClient,
) -> None:
    answer = await add(client, "sign.epub", novel(1))
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_file_type")
    assert answer.json()["detail"] == "Only .txt and .md files can be read."


async def test_the_documents_route_takes_text_whatever_the_setting_says(
    client: httpx.AsyncClient, every_format: None
) -> None:
    book = (await add(client, "book.txt", b"CHAPTER I\n\nAnn met Bob.\n")).json()
    by_address = await client.post(
        "/books", data={"title": "A book", "file_url": "https://files.example/a.epub"}
    )
    asked = {"book_id": book["id"], "user_id": USER}
    epub_there = await client.post(
        "/character/processing", json=asked | {"file_url": "https://files.example/a.epub"}
    )

    assert by_address.status_code == 201
    assert (epub_there.status_code, epub_there.json()["code"]) == (422, "wrong_file_type")


async def job_of(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/jobs/{job_id}")).json()
    return found


async def test_how_a_book_is_read_is_handed_to_its_job(client: httpx.AsyncClient) -> None:
    text = b"CHAPTER I\n\nAnn met Bob.\n"
    low = (await add(client, "a.txt", text, priority="low")).json()
    plain = (await add(client, "a.txt", text)).json()
    asked = {"book_id": plain["id"], "file_url": "https://files.example/a.md", "user_id": USER}
    options = {"priority": "high", "top": 3, "min_mentions": 9}
    high = (await client.post("/character/processing", json=asked | options)).json()["job_id"]
    again = (await client.post("/character/processing", json=asked | options)).json()["job_id"]
    other = (await client.post("/character/processing", json=asked | {"top": 4})).json()["job_id"]

    jobs = [await job_of(client, one) for one in (low["job_id"], plain["job_id"], high)]

    assert [one["priority"] for one in jobs] == [-4, 0, 4]
    chosen = [(one["input"]["top"], one["input"]["min_mentions"]) for one in jobs]
    default = (settings.books.cast_size, settings.books.min_mentions)
    assert chosen == [default, default, (3, 9)]
    assert (again == high, other == high) == (True, False)


@pytest.mark.parametrize("wrong", [{"priority": "urgent"}, {"top": 0}, {"min_mentions": 0}])
async def test_options_that_make_no_sense_are_malformed(
    client: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    asked = {
        "book_id": USER, "file_url": "https://files.example/a.md", "user_id": USER, **wrong,
    }  # fmt: skip
    assert (await add(client, "a.txt", b"Ann met Bob.", **wrong)).status_code == 400
    assert (await client.post("/character/processing", json=asked)).status_code == 400
