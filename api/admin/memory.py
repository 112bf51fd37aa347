"""The administration's audit: every change, in the transaction of the change."""

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette_admin.events import (
    AdminEvent,
    AdminEventSubscriber,
    AfterActionContext,
    AfterCreateContext,
    AfterEditContext,
    on,
)  # fmt: skip

from models.accounts import record_change


class Memory(AdminEventSubscriber):
    """Writes every change into the audit, in the transaction of the change."""

    @on(AdminEvent.AFTER_CREATE)
    async def created(self, ctx: AfterCreateContext) -> None:
        """Remember what was made."""
        made = {name: [None, _told(value)] for name, value in ctx.obj.model_dump().items()}
        self._record(ctx.request, "create", ctx.view_key, ctx.pk, made)

    @on(AdminEvent.AFTER_EDIT)
    async def edited(self, ctx: AfterEditContext) -> None:
        """Remember the fields that are different now."""
        changes = {
            name: [_told(old), _told(getattr(ctx.obj, name))]
            for name, old in ctx.old_data.items()
            if _told(old) != _told(getattr(ctx.obj, name))
        }
        self._record(ctx.request, "edit", ctx.view_key, ctx.pk, changes)

    @on(AdminEvent.AFTER_ACTION)
    async def acted(self, ctx: AfterActionContext) -> None:
        """Remember an action for each row that it was meant for."""
        if ctx.success and ctx.selection is not None:
            for pk in await ctx.selection.pks():
                self._record(ctx.request, ctx.action_name, ctx.view_key, pk, {})

    def _record(
        self, request: Request, action: str, target: str, pk: Any, changes: dict[str, Any]
    ) -> None:
        record_change(
            request.state.session, request.state.actor, action,
            target=target, target_id=pk, changes=changes,
        )  # fmt: skip


def _told(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, datetime | Decimal | UUID) else value
