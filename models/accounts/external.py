"""People who come with the word of an issuer elsewhere: JWTs (RFC 7519), as Supabase gives them."""

from typing import Any

import jwt
from sqlmodel import Session

from config.jwks import KeysAway, issuer_keys
from config.settings import AuthSettings, settings
from models.accounts.tables import User
from models.accounts.tokens import InvalidToken, user_of_token
from models.accounts.trust import provision_user, trusted_id
from models.errors import Unavailable

SHARED = "HS256"  # the only algorithm with a shared secret; never with a public key
REQUIRED = ["exp", "sub"]
SUBJECT_CHARS = 255


class IssuerAway(Unavailable):
    """The issuer's keys (AUTH_JWT_JWKS_URL) cannot be read at the moment."""

    code = "issuer_unavailable"


def user_of_bearer(session: Session, token: str) -> User:
    """Return whose bearer token this is: one of ours, or a JWT of the issuer we believe.

    A subject we have not met gets an account. Raises InvalidToken, InactiveAccount, IssuerAway.
    """
    if token.count(".") != 2:  # ours are without dots
        return user_of_token(session, token)
    return provision_user(session, trusted_id(subject_of(token)))


def subject_of(token: str, believed: AuthSettings | None = None) -> str:
    """Return whom a JWT is about. Raises InvalidToken, IssuerAway."""
    believed = believed or settings.auth
    try:
        header = jwt.get_unverified_header(token)
        key, algorithm = _key(header, believed)
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=believed.jwt_audience or None,
            issuer=believed.jwt_issuer or None,
            options={
                "require": REQUIRED,
                "verify_aud": bool(believed.jwt_audience),
                "verify_iat": False,  # clocks differ by a little, and `exp` is what counts
            },
        )
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidToken() from error
    subject = claims["sub"]
    if not 0 < len(subject) <= SUBJECT_CHARS:
        raise InvalidToken()
    return str(subject)


def _key(header: dict[str, Any], believed: AuthSettings) -> tuple[Any, str]:
    """Return what a token with this header must be signed with, and how; the kind of key decides
    on the algorithm, never the token."""
    secret = believed.jwt_secret.get_secret_value()
    if header.get("alg") == SHARED:
        if secret:
            return secret, SHARED
    elif believed.jwt_jwks_url:
        try:
            found = issuer_keys(believed.jwt_jwks_url).find(header.get("kid"))
        except KeysAway:
            raise IssuerAway() from None
        if found is not None:
            return found.key, found.algorithm_name
    raise InvalidToken()
