"""The scheduler of `celery beat`: schedules are rows in Postgres, any number of beats serve them.

    celery -A tasks beat -S tasks.schedules:PostgresScheduler

It keeps no file and has no leader. While Postgres is away it waits; the policy on missed fires
says what is made up for.
"""

import logging
from typing import Any

from celery.beat import Scheduler
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tasks import firing

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1  # a schedule that was made or changed meanwhile is seen by then
SOONEST_S = 0.05  # what is due is just being fired by somebody else
AWAY_S = 1.0


class PostgresScheduler(Scheduler):
    """Celery's clock, and nothing else of it: entries, files and messages stay unused."""

    max_interval = LOOK_EVERY_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Celery makes one, and another one only to print what it is."""
        self._prepared = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Prepare nothing: Postgres may be away."""

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due and return the seconds until the next look."""
        try:
            if not self._prepared:
                firing.ensure_all_upkeep()
                self._prepared = True
            soon = firing.tick()
        except (DBAPIError, PoolTimeout) as error:
            logger.warning("Postgres is away; beat tries again: %s", type(error).__name__)
            return AWAY_S
        return LOOK_EVERY_S if soon is None else min(max(soon, SOONEST_S), LOOK_EVERY_S)

    @property
    def info(self) -> str:
        """Where the schedules are, for the banner."""
        return "    . schedules -> Postgres"
