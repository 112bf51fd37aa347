"""What routes ask for: a session, and who is asking."""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlmodel import Session

from api import limits
from api.caller import address_of
from config.db import single_statement, transaction
from config.settings import settings
from models.accounts import (
    GUEST_USER_ID,
    LOCAL_USER_ID,
    InvalidServiceToken,
    InvalidToken,
    Role,
    UnknownUser,
    User,
    is_active,
    provision_user,
    require_role,
    trusted_id,
)  # fmt: skip
from models.accounts.external import user_of_bearer
from models.errors import Unauthorized

SERVICE_TOKEN = APIKeyHeader(name="X-Service-Token", scheme_name="Service", auto_error=False)
USER_ID = APIKeyHeader(
    name="X-User-ID",
    scheme_name="On behalf of",
    description="Believed from services, and behind a trusted gateway.",
    auto_error=False,
)
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


@dataclass(frozen=True, slots=True)
class Claims:
    """What a request says about who is asking."""

    authorization: str | None
    service_token: str | None
    user_header: str | None
    body_user: str | None
    guests_welcome: bool

    @property
    def claimed(self) -> str | None:
        """The id that somebody trusted may vouch for."""
        return self.user_header or self.body_user


async def _claims(
    request: Request,
    body_user: Annotated[str | None, Depends(_body_user)],
    bearer: Annotated[object, Security(HTTPBearer(auto_error=False))],
    service: Annotated[object, Security(SERVICE_TOKEN)],
    user: Annotated[object, Security(USER_ID)],
) -> Claims:
    return claims_of(request, body_user)  # the others are for the schema: they forgive too much


def claims_of(request: Request, body_user: str | None = None) -> Claims:
    """Return what a request says, `body_user` being what its body says."""
    header = request.headers.get
    return Claims(
        authorization=header("authorization"),
        service_token=header("x-service-token"),
        user_header=header("x-user-id"),
        body_user=body_user,
        guests_welcome=getattr(request.state, "dialect", None) == "scenes",
    )


ClaimsDep = Annotated[Claims, Depends(_claims)]


def identify(session: Session, claims: Claims) -> User:
    """Return who is asking.

    In this order: bearer token (ours, or a JWT of AUTH_JWT_…); service token with `X-User-ID`;
    under TRUST_GATEWAY that header or the body's `user_id`; on the local stack the one local user;
    under GUEST_ACCESS, at the doors of scenes, the guest. Raises Unauthorized.
    """
    if claims.authorization is not None:
        user = user_of_bearer(session, _bearer(claims.authorization))
        named = (claims.user_header, claims.body_user)
        if any(one and trusted_id(one) != user.id for one in named):
            raise Unauthorized("The request names another user than the token.")
        return user
    if claims.service_token is not None:
        calling_service(claims.service_token)
        if claims.claimed is None:
            raise Unauthorized("A service says on whose behalf it asks: X-User-ID.")
        return provision_user(session, trusted_id(claims.claimed))
    if settings.trust_gateway and claims.claimed is not None:
        return provision_user(session, trusted_id(claims.claimed))
    if settings.environment == "local":
        return provision_user(session, LOCAL_USER_ID)
    if settings.guest_access and claims.guests_welcome:
        return provision_user(session, GUEST_USER_ID)
    raise Unauthorized()


def identify_known(session: Session, claims: Claims) -> User:
    """Return the same where a document says "unknown user": who is vouched for has an account.

    A bearer token outweighs the body's `user_id`. Raises UnknownUser, Unauthorized.
    """
    if claims.authorization is not None:
        return identify(session, replace(claims, body_user=None))
    if claims.service_token is not None:
        calling_service(claims.service_token)
    believed = claims.service_token is not None or settings.trust_gateway
    if believed and claims.claimed is not None:
        named = trusted_id(claims.claimed)
        is_local = settings.environment == "local" and named == LOCAL_USER_ID
        if not is_local and session.get(User, named) is None:
            raise UnknownUser()
    return identify(session, claims)


def current_user(session: SessionDep, claims: ClaimsDep) -> User:
    """Return who is asking, and count the request as theirs. Raises as `identify` does, and 429."""
    user = identify(session, claims)
    limits.count("person", str(user.id))
    return user


def asker_named(session: Session, request: Request, named: str | None) -> UUID:
    """Return who is asking where a document puts `user_id` into the query. Raises as `identify`."""
    user = identify(session, claims_of(request, named))
    limits.count("person", str(user.id))
    return user.id


def asks_as_nobody(claims: Claims) -> bool:
    """Say whether a trusted gateway has let a request through that names nobody at all."""
    said = (claims.authorization, claims.service_token, claims.claimed)
    return settings.trust_gateway and not any(said)


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


def curator(claims: ClaimsDep) -> UUID:
    """Let superadmins in, and services, also without a person on whose behalf they ask.

    Raises Unauthorized, InsufficientRole.
    """
    with transaction() as session:
        if claims.service_token is not None and claims.authorization is None:
            calling_service(claims.service_token)
            named = trusted_id(claims.claimed) if claims.claimed else LOCAL_USER_ID
            return provision_user(session, named).id
        return require_role(identify(session, claims), Role.SUPERADMIN).id


def owner_in_passing(claims: ClaimsDep) -> UUID:
    """Return the same for routes that wait, which must not hold a connection meanwhile."""
    owner = _known_owner(claims)
    if owner is None:
        with transaction() as session:
            owner = identify(session, claims).id
    limits.count("person", str(owner))
    return owner


def _known_owner(claims: Claims) -> UUID | None:
    """Return who is asking in the common case, without the cost of a transaction."""
    if claims.authorization is not None or claims.service_token is not None:
        return None
    claimed = claims.claimed if settings.trust_gateway else None
    known = trusted_id(claimed) if claimed else LOCAL_USER_ID
    return known if (claimed or settings.environment == "local") and _is_known(known) else None


def _address(request: Request) -> str:
    return address_of(request.scope)


def _at_the_door(request: Request, address: Annotated[str, Depends(_address)]) -> None:
    request.state.rate = limits.count("doors", address)


def limited(kind: limits.Kind, asker: Callable[..., UUID]) -> Any:
    """Return a dependency that counts a request of this kind as the asker's. Raises Busy."""

    def count(request: Request, owner: Annotated[UUID, Depends(asker)]) -> None:
        request.state.rate = limits.count(kind, str(owner))

    return Depends(count)


# for a route's `dependencies`: what is limited more strictly than asking as such. Raises Busy
DOOR = Depends(_at_the_door)
CHAT = limited("chat", owner_in_passing)
UPLOAD = limited("uploads", current_owner)

Address = Annotated[str, Depends(_address)]
CurrentUser = Annotated[User, Depends(current_user)]
Superadmin = Annotated[User, Depends(at_least(Role.SUPERADMIN))]
BearerToken = Annotated[str, Depends(bearer_token)]
Owner = Annotated[UUID, Depends(current_owner)]
WaitingOwner = Annotated[UUID, Depends(owner_in_passing)]
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
