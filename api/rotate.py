"""`python -m api.rotate`: seals every stored credential with the newest of `SECRET_KEYS`.

Run it after putting a new key in front and restarting; then the older keys can be dropped. Safe to
repeat, and to run while the platform works.
"""

import sys
from uuid import UUID

from config.db import transaction
from models.credentials import rotate_credentials

BATCH = 100  # rows in one transaction: short locks


def main() -> int:
    """Rotate all; returns 1 when there were some that no key opens."""
    done, lost, after = 0, list[UUID](), None
    while True:
        with transaction() as session:
            batch = rotate_credentials(session, after=after, limit=BATCH)
        if batch.last is None:
            break
        done, lost, after = done + batch.done, lost + batch.lost, batch.last
    sys.stdout.write(f"{done} credentials are sealed with the newest key.\n")
    for one in lost:
        sys.stderr.write(f"No key opens credential {one}: its owner must enter it again.\n")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
