"""What must not be set as it is when strangers can reach the server."""

from collections.abc import Iterator

from config.settings import DEVELOPMENT_KEY, Settings, listed, settings

KEY_LENGTH = 32  # characters, of which a random key has at least so many


class Unsafe(SystemExit):
    """This server must not start with these settings."""


def check_safe(configured: Settings = settings) -> None:
    """Refuse to start in production with settings that let anybody in. Raises Unsafe."""
    if problems := list(problems_of(configured)):
        raise Unsafe("ENVIRONMENT is production: " + " ".join(problems))


def problems_of(configured: Settings) -> Iterator[str]:
    """Say what lets anybody in, a sentence each; nothing outside of production."""
    if configured.environment != "production":
        return
    key, token = (
        one.get_secret_value() for one in (configured.secret_key, configured.service_token)
    )
    if key == DEVELOPMENT_KEY or len(key) < KEY_LENGTH:
        yield f"SECRET_KEY needs {KEY_LENGTH} random characters of your own."
    if any(len(one) < KEY_LENGTH for one in listed(configured.secret_keys.get_secret_value())):
        yield f"Each of SECRET_KEYS needs {KEY_LENGTH} random characters."
    if token and len(token) < KEY_LENGTH:
        yield f"SERVICE_TOKEN needs {KEY_LENGTH} random characters; empty, it lets nobody in."
    shared = configured.auth.jwt_secret.get_secret_value()
    if shared and len(shared) < KEY_LENGTH:
        yield f"AUTH_JWT_SECRET needs {KEY_LENGTH} characters; empty, its tokens are refused."
    if configured.auth.jwt_jwks_url.startswith("http:"):
        yield "AUTH_JWT_JWKS_URL must be https: whoever changes its keys on the way is anybody."
    if configured.trust_gateway and not configured.trust_gateway_acknowledged:
        yield (
            "TRUST_GATEWAY believes whatever X-User-ID says: set TRUST_GATEWAY_ACKNOWLEDGED=true "
            "if only your gateway reaches this server, or unset it."
        )
    if configured.fetch.allow_loopback:
        yield "FETCH_ALLOW_LOOPBACK would let users read what runs on this machine."
