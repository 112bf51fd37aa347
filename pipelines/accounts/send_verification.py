"""Send somebody the link that proves their email address."""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.accounts import User
from models.accounts.mail import Letter, addressee, keep_letter, verification_letter
from models.accounts.verification import open_verification
from models.jobs.tables import Job
from tasks.pipeline import Pipeline, step
from tasks.tools import Mail


class SendVerification(BaseModel):
    """Which link to send; its token is in nobody's input or output."""

    verification_id: UUID


class Addressed(BaseModel):
    """Whom the link goes to; empty when it is no longer wanted."""

    email: str = ""
    name: str = ""


class Sent(BaseModel):
    """How the mail went out: `smtp`, `log`, or `nowhere`."""

    via: str


class Kept(BaseModel):
    """Whether the outbox has a row for it."""

    kept: bool


def address(wanted: SendVerification, session: Session) -> Addressed:
    """Look up the address. A link that was used meanwhile needs no mail."""
    user = addressee(session, wanted.verification_id)
    if user is None or user.email is None:
        return Addressed()
    return Addressed(email=user.email, name=user.username or "")


@step(max_attempts=8)
def send(wanted: SendVerification, to: Addressed, mail: Mail) -> Sent:
    """Send the mail. Raises Unavailable (retried), MailRefused."""
    if not to.email:
        return Sent(via="nowhere")
    return Sent(via=mail.send(_letter(wanted, to)))


def keep(wanted: SendVerification, to: Addressed, sent: Sent, session: Session) -> Kept:
    """Note the mail in the outbox, with its text if no server took it."""
    if sent.via == "nowhere":
        return Kept(kept=False)
    keep_letter(session, wanted.verification_id, _letter(wanted, to), via=sent.via)
    return Kept(kept=True)


def _letter(wanted: SendVerification, to: Addressed) -> Letter:
    return verification_letter(wanted.verification_id, email=to.email, name=to.name)


send_verification = Pipeline(
    "accounts.send_verification", address, send, keep, input=SendVerification
)


def ask_to_verify(session: Session, user: User) -> Job:
    """Send `user` a link, once the caller's transaction commits."""
    link = open_verification(session, user)
    wanted = SendVerification(verification_id=link.id)
    return send_verification.start(session, wanted, owner=user.id)
