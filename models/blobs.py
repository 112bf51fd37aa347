"""Large bytes: who refers to them. The bytes themselves lie in the blob store."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, select

from config.blobs import Blob as Blob
from config.blobs import BlobStore
from models.base import now, timestamp
from models.errors import NotFound
from models.jobs import retention


class BlobRef(SQLModel, table=True):
    """An owner's claim on a blob. Without one it is pruned, unless a job needs it."""

    __tablename__ = "blob_ref"

    owner_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    key: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)  # the id of the thing that needs it
    size_bytes: int
    created_at: datetime = timestamp(default_now=True)


class BlobGone(NotFound):
    """These bytes are no longer in the blob store."""

    code = "blob_gone"


def read_blob(key: str) -> bytes:
    """Return a blob's bytes. Raises BlobGone."""
    try:
        return BlobStore().get(key)
    except FileNotFoundError:
        raise BlobGone() from None


def hold_blob(session: Session, blob: Blob, *, owner: UUID, purpose: str) -> None:
    """Record that `owner` needs the blob for `purpose`. Safe to repeat."""
    session.execute(
        insert(BlobRef)
        .values(
            owner_id=owner,
            key=blob.key,
            purpose=purpose,
            size_bytes=blob.size_bytes,
            created_at=now(),
        )
        .on_conflict_do_nothing()
    )


def release_blobs(session: Session, *, owner: UUID, purpose: str) -> None:
    """Forget every blob that `owner` needed for `purpose`."""
    session.execute(
        delete(BlobRef).where(
            BlobRef.owner_id == owner,  # type: ignore[arg-type]
            BlobRef.purpose == purpose,  # type: ignore[arg-type]
        )
    )


def unreferenced(session: Session, keys: dict[str, datetime], *, older_than: timedelta) -> set[str]:
    """Return those of `keys` (key -> stored at) that are old enough and that nobody needs.

    An owner may hold them, and a job that has not succeeded: it may be resumed.
    """
    old = {key for key, stored_at in keys.items() if stored_at < now() - older_than}
    held = set(session.exec(select(BlobRef.key).where(BlobRef.key.in_(old))))  # type: ignore[attr-defined]
    return old - held - retention.blobs_named(session.connection())
