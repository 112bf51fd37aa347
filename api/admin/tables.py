"""What superadmins see of each table, and what they may change in it."""

from typing import Any
from uuid import UUID

from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette_admin import (
    BooleanField,
    DecimalField,
    EnumField,
    FloatField,
    JSONField,
    StringField,
    UUIDField,
)  # fmt: skip
from starlette_admin.actions import ActionSelection, action
from starlette_admin.contrib.sqla import ModelView
from starlette_admin.exceptions import FormValidationError

from models.accounts import LastSuperadmin, Role, User, keep_a_superadmin, revoke_token
from models.books.library import Review
from models.costs.budgets import InvalidBudget, checked
from models.jobs import lifecycle
from pipelines import tell_after_commit


class Table(ModelView):
    """A table to look at. Its subclasses say what may be changed."""

    exporters = ("csv", "json")
    page_size = 50

    def can_create(self, request: Request) -> bool:
        """Nothing is made here."""
        return False

    def can_edit(self, request: Request) -> bool:
        """Only where a subclass says so."""
        return False

    def can_delete(self, request: Request) -> bool:
        """Nothing is deleted here."""
        return False

    def can_import(self, request: Request) -> bool:
        """Nothing is brought in here."""
        return False


class Users(Table):
    """People: what they may do, and whether they may come in."""

    fields: Any = (
        "id", StringField("email", read_only=True), StringField("username", read_only=True),
        EnumField("role", enum=Role), BooleanField("verified"), BooleanField("active"),
        "created_at", "last_login_at",
    )  # fmt: skip
    exclude_fields_from_edit = ("id", "created_at", "last_login_at")
    searchable_fields = ("email", "username")
    fields_default_sort = (("created_at", True),)

    def can_edit(self, request: Request) -> bool:
        """Role, and the two flags."""
        return True

    async def before_edit(self, request: Request, data: dict[str, Any], obj: User) -> None:
        """Refuse what would leave nobody who could administer."""
        try:
            await run_in_threadpool(
                keep_a_superadmin, request.state.session, obj.id,
                role=Role(obj.role), active=obj.active,
            )  # fmt: skip
        except LastSuperadmin as refused:
            raise FormValidationError({"role": str(refused)}) from None


class Budgets(Table):
    """What one person may spend on models, in dollars; an empty field is any amount.

    Who has no row here may spend what BUDGETS_DAILY_USD and BUDGETS_MONTHLY_USD say.
    """

    fields: Any = (
        UUIDField("owner_id", required=True), DecimalField("daily_usd"),
        DecimalField("monthly_usd"), "created_at",
    )  # fmt: skip
    show_pk_in_forms = True
    exclude_fields_from_create = ("created_at",)
    exclude_fields_from_edit = ("owner_id", "created_at")

    def can_create(self, request: Request) -> bool:
        """One for each person."""
        return True

    def can_edit(self, request: Request) -> bool:
        """The amounts."""
        return True

    def can_delete(self, request: Request) -> bool:
        """The settings' default holds again."""
        return True

    async def validate(self, request: Request, data: dict[str, Any]) -> None:
        """Refuse budgets of nothing, and those of nobody."""
        problems: dict[str | int, Any] = {}
        for name in ("daily_usd", "monthly_usd"):
            try:
                if data.get(name) is not None:
                    checked(data[name])
            except InvalidBudget as refused:
                problems[name] = str(refused)
        if named := data.get("owner_id"):
            data["owner_id"] = owner = UUID(str(named))
            if await run_in_threadpool(request.state.session.get, User, owner) is None:
                problems["owner_id"] = "There is nobody with this id."
        if problems:
            raise FormValidationError(problems)


class Tokens(Table):
    """Bearer tokens: whose they are, and when they were used."""

    fields: Any = (
        "id", "user_id", "created_at", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    actions = ("revoke",)
    fields_default_sort = (("created_at", True),)

    @action(name="revoke", text="Revoke", confirmation="End these tokens at once?")
    async def revoke(self, request: Request, selection: ActionSelection) -> None:
        """End tokens."""
        for row in await selection.rows():
            revoke_token(row)


class Jobs(Table):
    """Jobs, whoever owns them."""

    fields: Any = (
        "id", "pipeline", "owner_id", "status", FloatField("progress"), "priority",
        JSONField("error"), "created_at", "started_at", "finished_at",
    )  # fmt: skip
    searchable_fields = ("pipeline", "status")
    actions = ("cancel",)
    fields_default_sort = (("created_at", True),)

    @action(name="cancel", text="Cancel", confirmation="Stop these jobs?")
    async def cancel(self, request: Request, selection: ActionSelection) -> None:
        """Stop jobs. Those that have ended stay as they are."""
        for job_id in await selection.pks():
            await run_in_threadpool(_cancel, request.state.session, UUID(str(job_id)))


def _cancel(session: Session, job_id: UUID) -> None:
    lifecycle.request_cancel(session.connection(), job_id)
    tell_after_commit(session, job_id, [])


class Books(Table):
    """Books: what they are called, and whether they are shown."""

    fields: Any = (
        "id", "title", "author", EnumField("status", enum=Review), "owner_id",
        "processing_status", "total_chapters", "total_chunks", "created_at",
    )  # fmt: skip
    exclude_fields_from_edit = (
        "id", "owner_id", "processing_status", "total_chapters", "total_chunks", "created_at",
    )  # fmt: skip
    searchable_fields = ("title", "author")
    fields_default_sort = (("created_at", True),)

    def can_edit(self, request: Request) -> bool:
        """Title, author and status."""
        return True


class Mails(Table):
    """Mail that went out; texts, which may hold links, are not shown."""

    fields: Any = ("id", "user_id", "recipient", "subject", "via", "created_at")
    fields_default_sort = (("created_at", True),)


class Audit(Table):
    """What was changed here, by whom."""

    fields: Any = (
        "id", "at", "actor", "action", "target", "target_id", JSONField("changes"),
    )  # fmt: skip
    fields_default_sort = (("at", True),)
