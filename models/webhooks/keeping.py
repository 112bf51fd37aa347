"""Keeping webhooks: made, changed, their secrets rotated, named by jobs."""

import base64
import secrets
import socket
from datetime import timedelta
from ipaddress import ip_address
from uuid import UUID

from sqlalchemy import text, update
from sqlmodel import Session, col, or_, select

from config.addresses import is_allowed
from config.crypto import seal, unseal
from config.fetch import Refused, check_url
from config.settings import settings
from models.base import now
from models.errors import Conflict, NotFound, Unprocessable
from models.jobs.tables import Job
from models.webhooks.tables import (
    JobWebhook,
    Webhook,
    WebhookCreate,
    WebhookSecret,
    WebhookUpdate,
)

WEBHOOKS_AT_MOST = 20  # of one owner: each is told of every job
SECRET_BYTES = 32  # Standard Webhooks asks for 24 to 64
LOCAL_NAMES = (".localhost", ".local", ".internal", ".home.arpa")


class WebhookNotFound(NotFound):
    """There is no such webhook."""

    code = "webhook_not_found"


class WebhookRefused(Unprocessable):
    """This address cannot be told anything."""

    code = "webhook_refused"


class TooManyWebhooks(Conflict):
    """You have as many webhooks as one may have."""

    code = "too_many_webhooks"


def check_target(url: str) -> str:
    """Return an address that may be told. Raises WebhookRefused.

    An early no, without asking anybody: what a name resolves to is checked at each delivery.
    """
    try:
        host = check_url(url).raw_host.decode("ascii").rstrip(".").lower()
    except Refused as error:
        raise WebhookRefused(str(error), reason=error.reason) from None
    here = host == "localhost" or host.endswith(LOCAL_NAMES) or not _is_public(host)
    if here and not (settings.fetch.allow_loopback and _leads_here(host)):
        raise WebhookRefused("The address is not on the public internet.", reason="address")
    return url


def _literal(host: str) -> str | None:
    """Return the address that a host is, in whatever spelling the system reads; None for names."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _is_public(host: str) -> bool:
    address = _literal(host)
    return address is None or is_allowed(address, allow_loopback=False)


def _leads_here(host: str) -> bool:
    address = _literal(host)
    return host == "localhost" or (address is not None and is_allowed(address, allow_loopback=True))


def keep_webhook(session: Session, new: WebhookCreate, *, owner: UUID) -> tuple[Webhook, str]:
    """Store a webhook; return it and its signing secret, which cannot be read again.

    Raises WebhookRefused, TooManyWebhooks.
    """
    held = session.exec(select(Webhook.id).where(Webhook.owner_id == owner)).all()
    if len(held) >= WEBHOOKS_AT_MOST:
        raise TooManyWebhooks(limit=WEBHOOKS_AT_MOST)
    row = Webhook(**(new.model_dump() | {"url": check_target(new.url)}), owner_id=owner)
    row.events = sorted(set(new.events))
    session.add(row)
    session.flush()
    return row, _new_secret(session, row)


def _new_secret(session: Session, row: Webhook) -> str:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    session.add(WebhookSecret(webhook_id=row.id, sealed=seal(secret)))
    session.flush()
    return secret


def rotate_secret(session: Session, row: Webhook, *, overlap_s: int) -> str:
    """Return a new signing secret; those before sign along for `overlap_s` seconds more."""
    end = now() + timedelta(seconds=overlap_s)
    old = update(WebhookSecret).where(col(WebhookSecret.webhook_id) == row.id)
    longer = or_(col(WebhookSecret.expires_at).is_(None), col(WebhookSecret.expires_at) > end)
    session.execute(old.where(longer).values(expires_at=end))
    row.changed_at = now()
    return _new_secret(session, row)


def signing_secrets(session: Session, webhook_id: UUID) -> list[str]:
    """Return the secrets that are good now, newest first. Raises Unsealable."""
    good = or_(col(WebhookSecret.expires_at).is_(None), col(WebhookSecret.expires_at) > now())
    query = select(WebhookSecret.sealed).where(WebhookSecret.webhook_id == webhook_id, good)
    found = session.exec(query.order_by(col(WebhookSecret.id).desc()))
    return [unseal(sealed) for sealed in found]


def get_webhook(
    session: Session, webhook_id: UUID, *, owner: UUID, to_change: bool = False
) -> Webhook:
    """Return one of somebody's webhooks, locked if it is to change. Raises WebhookNotFound."""
    query = select(Webhook).where(Webhook.id == webhook_id, Webhook.owner_id == owner)
    locked = query.with_for_update(key_share=True)  # jobs that end refer to it meanwhile
    row = session.exec(locked if to_change else query).one_or_none()
    if row is None:
        raise WebhookNotFound()
    return row


def list_webhooks(
    session: Session, *, owner: UUID, before: UUID | None, limit: int
) -> list[Webhook]:
    """Return somebody's webhooks, newest first, those older than `before`."""
    query = select(Webhook).where(Webhook.owner_id == owner)
    if before is not None:
        query = query.where(col(Webhook.id) < before)
    return list(session.exec(query.order_by(col(Webhook.id).desc()).limit(limit)))


def change_webhook(session: Session, row: Webhook, change: WebhookUpdate) -> Webhook:
    """Change what `change` gives. Raises WebhookRefused."""
    given = change.model_dump(exclude_none=True, exclude={"enabled"})
    if change.url is not None:
        check_target(change.url)
    if change.events is not None:
        given["events"] = sorted(set(change.events))
    for name, value in given.items():
        setattr(row, name, value)
    if change.enabled is not None:
        row.disabled_at = None if change.enabled else row.disabled_at or now()
        row.failing_since = None
    row.changed_at = now()
    session.flush()
    return row


def name_webhook(session: Session, job_id: UUID, row: Webhook) -> None:
    """Tell a webhook of a job that it would not be told of otherwise. Safe to repeat.

    If the job has ended, or waits, that is told at once.
    """
    session.exec(select(Job.id).where(Job.id == job_id).with_for_update()).one()
    if row.every_job or session.get(JobWebhook, (job_id, row.id)) is not None:
        return
    session.add(JobWebhook(job_id=job_id, webhook_id=row.id))
    session.flush()
    session.connection().execute(
        text("SELECT longrun_tell_webhooks(job, :webhook) FROM job WHERE id = :job"),
        {"job": job_id, "webhook": row.id},
    )
