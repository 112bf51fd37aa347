"""Has deliveries of webhooks sent that are due: as jobs of the system user."""

from config.db import transaction
from models.accounts import SYSTEM_USER_ID, provision_user
from models.webhooks.deliveries import LEASE_S, take_due
from tasks.pipeline import REGISTRY

DELIVER = "webhooks.deliver"


def send_due() -> int:
    """Start a job for the deliveries that are due, if there are any; return how many."""
    pipeline = REGISTRY.get(DELIVER)
    if pipeline is None:
        return 0
    with transaction() as session:
        taken = take_due(session)
        if taken:
            provision_user(session, SYSTEM_USER_ID)
            input = pipeline.parse({"deliveries": [{"id": one} for one in taken]})
            # It ends before its deliveries may be taken again.
            pipeline.start(session, input, owner=SYSTEM_USER_ID, deadline_s=LEASE_S * 0.9)
    return len(taken)
