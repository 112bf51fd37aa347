"""Covers of books."""

import io

import httpx
import pytest
from PIL import Image
from sqlmodel import select

from config.db import transaction
from config.settings import settings
from models.blobs import BlobRef
from tests.pictures import picture


async def a_book(client: httpx.AsyncClient) -> str:
    told = await client.post(
        "/books", data={"title": "Emma"}, files={"file": ("emma.txt", b"CHAPTER I\n\nGood day.\n")}
    )
    assert told.status_code == 201, told.text
    assert told.json()["has_cover"] is False
    return f"/books/{told.json()['id']}"


def held() -> int:
    with transaction() as session:
        kept = session.exec(select(BlobRef.purpose)).all()
    return sum(purpose.startswith("cover:") for purpose in kept)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_cover_is_kept_small_and_served(client: httpx.AsyncClient, kind: str) -> None:
    book = await a_book(client)
    sent = {"file": ("cover", picture(kind, width=2400, height=3600))}

    assert (await client.put(f"{book}/cover", files=sent)).status_code == 204

    assert (await client.get(book)).json()["has_cover"] is True
    answer = await client.get(f"{book}/cover")
    with Image.open(io.BytesIO(answer.content)) as kept:
        assert (kept.format, kept.size) == ("JPEG", (800, 1200))
    assert answer.headers["content-type"] == "image/jpeg"
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await client.get(f"{book}/cover", headers=known)).status_code == 304


async def test_a_new_cover_replaces_the_old_one_and_none_is_left(client: httpx.AsyncClient) -> None:
    book = await a_book(client)
    for width in (10, 20):
        await client.put(f"{book}/cover", files={"file": ("cover", picture(width=width))})
    assert held() == 1

    assert (await client.delete(f"{book}/cover")).status_code == 204

    assert held() == 0
    gone = await client.get(f"{book}/cover")
    assert gone.status_code == 404
    assert gone.json()["code"] == "no_cover"


async def test_a_deleted_book_lets_its_cover_go(client: httpx.AsyncClient) -> None:
    book = await a_book(client)
    await client.put(f"{book}/cover", files={"file": ("cover", picture())})

    await client.delete(book)

    assert held() == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture"),
        (picture()[:40], "not_a_picture"),
        (picture("GIF"), "not_a_picture"),
        (picture(width=8_000, height=8_000), "not_a_picture"),
        (bytes(settings.upload.max_cover_bytes + 1), "file_too_large"),
    ],
    ids=["empty", "drawing", "cut", "moving", "huge", "heavy"],
)
async def test_what_cannot_be_a_cover_is_refused(
    client: httpx.AsyncClient, data: bytes, code: str
) -> None:
    book = await a_book(client)

    answer = await client.put(f"{book}/cover", files={"file": ("cover.png", data)})

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert held() == 0
