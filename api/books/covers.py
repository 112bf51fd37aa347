"""Pictures on the front of books."""

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Response, UploadFile

from api.books.portraits import redrawn
from api.deps import UPLOAD, Owner, SessionDep
from api.dialects import speaking
from config.blobs import BlobStore
from config.settings import settings
from models.blobs import hold_blob, read_blob, release_blobs
from models.books.library import Book, get_book
from models.errors import NotFound
from models.files import FileTooLarge

router = APIRouter(tags=["books"], **speaking("books"))


class NoCover(NotFound):
    """This book has no cover."""

    code = "no_cover"


@router.put("/books/{book_id}/cover", status_code=204, dependencies=[UPLOAD])
def set_cover(book_id: UUID, session: SessionDep, owner: Owner, file: UploadFile) -> None:
    """Give a book a cover: a JPEG, PNG or WebP of 5 MB at most.

    It is kept at up to 1,200 pixels, without what cameras and programs write into files.
    """
    book = get_book(session, book_id, owner=owner)
    data = file.file.read(settings.upload.max_cover_bytes + 1)
    if len(data) > settings.upload.max_cover_bytes:
        raise FileTooLarge(max_bytes=settings.upload.max_cover_bytes)
    blob = BlobStore().put(redrawn(data))
    release_blobs(session, owner=owner, purpose=_purpose(book))
    hold_blob(session, blob, owner=owner, purpose=_purpose(book))
    book.cover_blob = blob.key


@router.get(
    "/books/{book_id}/cover",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 304: {}},
)
def read_cover(
    book_id: UUID,
    session: SessionDep,
    owner: Owner,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A book's cover, as JPEG. 404 for a book without one."""
    book = get_book(session, book_id, owner=owner)
    if book.cover_blob is None:
        raise NoCover()
    etag = f'"{hashlib.sha256(book.cover_blob.encode()).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if if_none_match in (etag, f"W/{etag}"):
        return Response(status_code=304, headers=headers)
    return Response(read_blob(book.cover_blob), media_type="image/jpeg", headers=headers)


@router.delete("/books/{book_id}/cover", status_code=204)
def remove_cover(book_id: UUID, session: SessionDep, owner: Owner) -> None:
    """Take a book's cover away."""
    book = get_book(session, book_id, owner=owner)
    release_blobs(session, owner=owner, purpose=_purpose(book))
    book.cover_blob = None


def _purpose(book: Book) -> str:
    return f"cover:{book.id}"
