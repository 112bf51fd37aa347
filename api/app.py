"""The FastAPI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from api import (
    accounts,
    admin,
    costs,
    dining,
    edge,
    errors,
    jobs,
    limits,
    ops,
    schedules,
    webhooks,
)
from api.books import cards, conversations, covers, library, messages, replies
from api.goals import articles, feeds, goals, plans, scheduler, talks, voice
from api.scenes import users as players
from api.streams import Hub
from config import logging, tracing
from config.safety import check_safe


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    logging.configure()
    async with Hub().running():
        yield
    tracing.flush()


class Guarded(FastAPI):
    """An application whose guards also see what happens when it fails."""

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guards around everything, the framework's own answer to a crash included."""
        return edge.guard(super().build_middleware_stack())


check_safe()
app = Guarded(
    title="Longrun",
    version="0.1.0",
    summary="Every long AI operation is a durable job.",
    lifespan=_lifespan,
    telemetry={
        "tracing": tracing.is_on(),
        "tracer_provider": tracing.provider(),
        "exclude": lambda scope: scope["path"] in limits.PROBES,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    },
)
errors.install(app)
for _router in (
    ops.router, jobs.router, costs.router, schedules.router, webhooks.router,
    library.router, cards.router, covers.router, conversations.router, messages.router,
    replies.router,
    accounts.router, players.auth, players.router,
    dining.accounts, dining.users,
    goals.router, plans.router, feeds.router, talks.router, articles.router,
    scheduler.router, voice.router,
):  # fmt: skip
    app.include_router(_router)
admin.mount(app)
