"""`python -m api.rotate`: seals every credential and webhook's secret with the newest key.

The keys are those of `SECRET_KEYS`. Run it after putting a new one in front and restarting; then
the older ones can be dropped. Safe to repeat, and to run while the platform works.
"""

import sys
from uuid import UUID

from config.db import transaction
from models.credentials import Credential
from models.sealing import Sealed, rotate_sealed
from models.webhooks.tables import WebhookSecret

BATCH = 100  # rows in one transaction: short locks
KINDS: dict[str, type[Sealed]] = {"credential": Credential, "webhook secret": WebhookSecret}


def main() -> int:
    """Rotate all; returns 1 when there were some that no key opens."""
    return max([_rotate(kind) for kind in KINDS])


def _rotate(kind: str) -> int:
    done, lost, after = 0, list[UUID](), None
    while True:
        with transaction() as session:
            batch = rotate_sealed(session, KINDS[kind], after=after, limit=BATCH)
        if batch.last is None:
            break
        done, lost, after = done + batch.done, lost + batch.lost, batch.last
    sys.stdout.write(f"{done} {kind}s are sealed with the newest key.\n")
    for one in lost:
        sys.stderr.write(f"No key opens {kind} {one}: its owner must make a new one.\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
