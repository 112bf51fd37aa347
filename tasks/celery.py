"""The Celery application. Everything configurable is in `celeryconfig.py`."""

from celery import Celery

app = Celery("longrun")
app.config_from_object("celeryconfig")
