"""Webhooks by the Standard Webhooks specification, through the guarded client."""

import json
import time
from datetime import datetime
from uuid import UUID

from standardwebhooks import Webhook

from config.crypto import Unsealable
from config.db import transaction
from config.fetch import Answer, Failed, GuardedClient, Refused
from config.retry_after import retry_after_s
from models.base import now
from models.webhooks.deliveries import Message, open_message
from models.webhooks.tables import Outcome
from tasks import tracing

TIMEOUT_S = 10.0  # receivers are told to answer first and work later
ANSWER_BYTES = 1024  # the status is all that counts
TRANSIENT = (408, 425, 429, 503)  # those whose wish for a later attempt is heard


class SignedCourier:
    """Sends each delivery with a signature by every secret that is good."""

    def __init__(self, client: GuardedClient | None = None) -> None:
        """Use `client` (default: one with the limits of the settings)."""
        self._client = client or GuardedClient()

    def deliver(self, delivery_id: UUID) -> Outcome:
        """Send a delivery once and return what came of it, also when that is nothing good."""
        at, began = now(), time.monotonic()
        try:
            with transaction() as session:
                message = open_message(session, delivery_id)
            told = self._sent(delivery_id, message, at)
        except Unsealable:
            told = _failed(delivery_id, at, "No key of this server opens the secret: rotate it.")
        except Refused as error:
            told = _failed(delivery_id, at, str(error))
        except Failed as error:
            told = Outcome(delivery_id=delivery_id, at=at, problem=str(error))
        return told.model_copy(update={"took_ms": round((time.monotonic() - began) * 1000)})

    def _sent(self, delivery_id: UUID, message: Message | None, at: datetime) -> Outcome:
        if message is None:
            return _failed(delivery_id, at, "This was no longer wanted.")
        body = json.dumps(message.body, separators=(",", ":"), sort_keys=True)
        with tracing.delivery(message.job_id) as span:
            place = {"traceparent": span.traceparent} if span.traceparent else {}
            answer = self._client.send(
                "POST",
                message.url,
                headers=_headers(message, body, at) | place,
                content=body.encode(),
                timeout_s=TIMEOUT_S,
                max_bytes=ANSWER_BYTES,
            )
            span.tell({"http.response.status_code": answer.status})
        return _outcome(delivery_id, at, answer)


def _headers(message: Message, body: str, at: datetime) -> dict[str, str]:
    signatures = [Webhook(secret).sign(message.id, at, body) for secret in message.secrets]
    return {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _outcome(delivery_id: UUID, at: datetime, answer: Answer) -> Outcome:
    good = 200 <= answer.status < 300
    heard = answer.status in TRANSIENT
    return Outcome(
        delivery_id=delivery_id,
        at=at,
        status=answer.status,
        problem=None if good else f"The receiver answered with status {answer.status}.",
        retry_after_s=retry_after_s(answer.headers.get("retry-after")) if heard else None,
    )


def _failed(delivery_id: UUID, at: datetime, problem: str) -> Outcome:
    return Outcome(delivery_id=delivery_id, at=at, problem=problem, hopeless=True)
