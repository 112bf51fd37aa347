"""What routes ask for: a session, and who is asking."""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from sqlmodel import Session

from api.caller import address_of
from config.db import single_statement, transaction
from config.settings import settings
from models.accounts import (
    LOCAL_USER_ID,
    InvalidServiceToken,
    InvalidToken,
    Role,
    User,
    is_active,
    provision_user,
    require_role,
    trusted_id,
    user_of_token,
)  # fmt: skip
from models.errors import Unauthorized

KNOWN_S = 1.0  # so stale may a trusted id's account be
KNOWN_AT_MOST = 10_000
_seen: dict[UUID, float] = {}


def _session() -> Iterator[Session]:
    with transaction() as session:
        yield session


# "function": committed before the answer is sent, so a 202 never speaks of rows that do not exist.
SessionDep = Annotated[Session, Depends(_session, scope="function")]


async def _body_user(request: Request) -> str | None:
    """Return `user_id` of a JSON body, where the documents put it."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return None  # the route's own validation answers
    named = body.get("user_id") if isinstance(body, dict) else None
    return named if isinstance(named, str) else None


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidToken()
    return token.strip()


def bearer_token(authorization: Annotated[str | None, Header()] = None) -> str:
    """Return the bearer token itself, for routes about tokens. Raises Unauthorized."""
    if authorization is None:
        raise Unauthorized()
    return _bearer(authorization)


def calling_service(
    service_token: Annotated[str | None, Header(alias="X-Service-Token")] = None,
) -> None:
    """Let only services in that know our secret. Raises InvalidServiceToken."""
    expected = settings.service_token.get_secret_value().encode()
    given = (service_token or "").encode()
    if not expected or not secrets.compare_digest(given, expected):
        raise InvalidServiceToken()


def current_user(
    session: SessionDep,
    body_user: Annotated[str | None, Depends(_body_user)],
    authorization: Annotated[str | None, Header()] = None,
    service_token: Annotated[str | None, Header(alias="X-Service-Token")] = None,
    user_header: Annotated[str | None, Header(alias="X-User-ID")] = None,
) -> User:
    """Return who is asking.

    In this order: bearer token; service token with `X-User-ID`; under TRUST_GATEWAY that header or
    the body's `user_id`; on the local stack the one local user. Raises Unauthorized.
    """
    claimed = user_header or body_user
    if authorization is not None:
        user = user_of_token(session, _bearer(authorization))
        if any(one and trusted_id(one) != user.id for one in (user_header, body_user)):
            raise Unauthorized("The request names another user than the token.")
        return user
    if service_token is not None:
        calling_service(service_token)
        if claimed is None:
            raise Unauthorized("A service says on whose behalf it asks: X-User-ID.")
        return provision_user(session, trusted_id(claimed))
    if settings.trust_gateway and claimed is not None:
        return provision_user(session, trusted_id(claimed))
    if settings.environment == "local":
        return provision_user(session, LOCAL_USER_ID)
    raise Unauthorized()


def current_owner(user: Annotated[User, Depends(current_user)]) -> UUID:
    """Return the id under which what the asker owns is kept."""
    return user.id


def _is_known(user_id: UUID) -> bool:
    """Say whether there was an active account with this id within the last second."""
    at = time.monotonic()
    if at - _seen.get(user_id, -math.inf) < KNOWN_S:
        return True
    with single_statement() as conn:
        active = is_active(conn, user_id)
    if len(_seen) > KNOWN_AT_MOST:
        forget_known()
    if active:
        _seen[user_id] = at
    return active


def forget_known() -> None:
    """Look every account up again."""
    _seen.clear()


def at_least(role: Role) -> Callable[[User], User]:
    """Return a dependency that lets only people of this role in. Raises InsufficientRole."""

    def check(user: Annotated[User, Depends(current_user)]) -> User:
        return require_role(user, role)

    return check


def owner_in_passing(
    body_user: Annotated[str | None, Depends(_body_user)],
    authorization: Annotated[str | None, Header()] = None,
    service_token: Annotated[str | None, Header(alias="X-Service-Token")] = None,
    user_header: Annotated[str | None, Header(alias="X-User-ID")] = None,
) -> UUID:
    """Return the same for routes that wait, which must not hold a connection meanwhile."""
    if authorization is None and service_token is None:
        claimed = (user_header or body_user) if settings.trust_gateway else None
        known = trusted_id(claimed) if claimed else LOCAL_USER_ID
        if (claimed or settings.environment == "local") and _is_known(known):
            return known  # the common case, without the cost of a transaction
    with transaction() as session:
        return current_user(session, body_user, authorization, service_token, user_header).id


def _address(request: Request) -> str:
    return address_of(request.scope)


Address = Annotated[str, Depends(_address)]
CurrentUser = Annotated[User, Depends(current_user)]
Superadmin = Annotated[User, Depends(at_least(Role.SUPERADMIN))]
BearerToken = Annotated[str, Depends(bearer_token)]
Owner = Annotated[UUID, Depends(current_owner)]
WaitingOwner = Annotated[UUID, Depends(owner_in_passing)]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
