"""The Celery application. Everything configurable is in `celeryconfig.py`."""

import logging
from typing import Any

from celery import Celery, signals

from config.logging import configure
from config.safety import check_safe

QUIET = ("celery.worker.strategy", "celery.app.trace")  # they tell of every task, twice


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure(quieter=dict.fromkeys(QUIET, logging.WARNING))


check_safe()
app = Celery("longrun")
app.config_from_object("celeryconfig")
