"""The letters we write to people, and the outbox that remembers them."""

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from config.settings import settings
from models.accounts.tables import OutboxMail, User, Verification
from models.accounts.verification import verification_link
from models.base import now


class Letter(BaseModel):
    """One mail in plain text."""

    id: UUID  # of what it is about: a repeated sending can be recognised
    to: str
    subject: str
    body: str


def verification_letter(verification_id: UUID, *, email: str, name: str) -> Letter:
    """Write the mail with the link that proves an address."""
    hours = settings.accounts.verification_s // 3600
    body = (
        f"Hello {name or 'there'},\n\n"
        "please confirm that this is your email address by opening this link:\n\n"
        f"  {verification_link(verification_id)}\n\n"
        f"It is good once, for {hours} hours. If you did not sign up, ignore this mail.\n"
    )
    return Letter(id=verification_id, to=email, subject="Confirm your email address", body=body)


def addressee(session: Session, verification_id: UUID) -> User | None:
    """Return who waits for this link; None when it was used or its account is verified."""
    row = session.get(Verification, verification_id)
    if row is None or row.used_at is not None:
        return None
    user = session.get_one(User, row.user_id)
    return None if user.verified else user


def keep_letter(session: Session, verification_id: UUID, letter: Letter, *, via: str) -> None:
    """Note a letter in the outbox. Its text, which holds the link, only if no server took it."""
    row = session.get_one(Verification, verification_id)
    session.execute(
        insert(OutboxMail)
        .values(
            id=letter.id,
            user_id=row.user_id,
            recipient=letter.to,
            subject=letter.subject,
            body=letter.body if via == "log" else None,
            via=via,
            created_at=now(),
        )
        .on_conflict_do_nothing()
    )
