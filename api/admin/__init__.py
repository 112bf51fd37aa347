"""`/admin/`: superadmins see and mend the tables; every change is remembered.

No page shows a password or a token, not even hashed. What follows rules of its own (deleting a
book, making an account) is done by the API, not here.
"""

import logging
from typing import Any

from fastapi import FastAPI
from jinja2 import DictLoader
from sqlalchemy import orm
from sqlmodel import Session
from starlette_admin.contrib.sqla import Admin

from api.admin.door import Door
from api.admin.memory import Memory
from api.admin.tables import Audit, Books, Budgets, Jobs, Mails, Table, Tokens, Users
from config.db import engine
from config.settings import settings
from models.accounts import AccessToken, AuditEntry, OutboxMail, User
from models.books.library import Book
from models.costs.tables import Budget
from models.jobs.tables import Job

logging.getLogger("starlette_admin").setLevel(logging.WARNING)  # it notes every page at INFO


# The library's pages, without the typeface that they would fetch from somebody else's server.
NO_FONTS = DictLoader(
    {"base.html": '{% extends "@core/base.html" %}{% block fonts %}{% endblock %}'}
)


class _Sessions(orm.sessionmaker[orm.Session]):
    """Opens sessions on the engine of `config.db`, which nothing opens before it is needed."""

    def __call__(self, **_: Any) -> Session:
        return Session(engine(), expire_on_commit=False)


def mount(app: FastAPI) -> None:
    """Put the administration under `/admin/`."""
    admin = Admin(
        _Sessions(class_=Session),
        title="Longrun",
        auth_provider=Door(),
        additional_loaders=[NO_FONTS],
        secret_key=settings.secret_key.get_secret_value(),
    )
    views: tuple[tuple[type[Table], type[Any], str], ...] = (
        (Users, User, "user"), (Tokens, AccessToken, "token"), (Jobs, Job, "job"),
        (Books, Book, "book"), (Budgets, Budget, "budget"), (Mails, OutboxMail, "mail"),
        (Audit, AuditEntry, "audit"),
    )  # fmt: skip
    for view, model, key in views:
        admin.add_view(view(model, key=key, menu_label=view.__name__, display_name=key))
    admin.events.subscribe(Memory())
    admin.mount_to(app)
