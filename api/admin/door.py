"""How superadmins come in: with their password, and a token of theirs in a cookie."""

from sqlmodel import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.exceptions import LoginFailed
from starlette_admin.helpers import index_url, safe_redirect_url

from api.caller import address_of
from config.settings import settings
from models.accounts import (
    Role,
    User,
    issue_token,
    log_in,
    record_change,
    require_role,
    revoke_token,
    token_row,
    user_of_token,
)  # fmt: skip
from models.errors import DomainError

COOKIE = "longrun_admin"
NEEDS = Role.SUPERADMIN


class Door(AuthProvider):
    """Superadmins come in with their password; a token of theirs in a cookie keeps them in."""

    async def login(
        self, username: str, password: str, remember_me: bool, request: Request
    ) -> Response:
        """Check credentials and role. Raises LoginFailed, the same for all that may not enter."""
        try:
            token = await run_in_threadpool(_enter, request, username, password)
        except DomainError:
            raise LoginFailed("Invalid credentials") from None
        home = index_url(request)
        wanted = safe_redirect_url(request.query_params.get("next") or home, request, home)
        answer = RedirectResponse(wanted, status_code=303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=settings.accounts.token_s if remember_me else None,
            path=request.scope["root_path"],
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    async def authenticate(self, request: Request) -> AdminUser | None:
        """Return who asks, if they are a superadmin still."""
        try:
            user = await run_in_threadpool(_inside, request.state.session, request)
        except DomainError:
            return None
        request.state.actor = user
        return AdminUser(username=user.username or user.email or str(user.id))

    async def logout(self, request: Request) -> Response:
        """End the token, not just the cookie."""
        row = await run_in_threadpool(token_row, request.state.session, request.cookies[COOKIE])
        revoke_token(row)
        answer = RedirectResponse(index_url(request), status_code=303)
        answer.delete_cookie(COOKIE, path=request.scope["root_path"])
        return answer


def _enter(request: Request, username: str, password: str) -> str:
    session = request.state.session
    known = log_in(
        session, identifier=username, password=password, address=address_of(request.scope)
    )
    user = require_role(known, NEEDS)
    record_change(session, user, "login", target="admin", target_id=user.id)
    return issue_token(session, user.id)


def _inside(session: Session, request: Request) -> User:
    return require_role(user_of_token(session, request.cookies.get(COOKIE, "")), NEEDS)
